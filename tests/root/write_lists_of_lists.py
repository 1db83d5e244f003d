"""Run with ROOT: write lists of lists as ACTS' C++ track writers do.

Argument: the file.
"""

import sys

import ROOT

file = ROOT.TFile(sys.argv[1], "RECREATE")
tree = ROOT.TTree("tracksummary", "")
chi2 = ROOT.std.vector(ROOT.std.vector("double"))()
tree.Branch("measurementChi2", chi2)
for event in ([[1.0, 2.0], [], [3.0]], []):
    chi2.clear()
    for track in event:
        inner = ROOT.std.vector("double")()
        for value in track:
            inner.push_back(value)
        chi2.push_back(inner)
    tree.Fill()
tree.Write()
file.Close()
