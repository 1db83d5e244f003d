"""Run with ROOT: read histograms and print what ROOT makes of them as JSON.

Argument: the file that `test_real_root.py` writes.
"""

import json
import sys

import ROOT

file = ROOT.TFile.Open(sys.argv[1])
passed, total = file.Get("gnn/trackeff_vs_eta_passed"), file.Get("gnn/trackeff_vs_eta_total")
efficiency = ROOT.TEfficiency(passed, total)
ratio = file.Get("gnn/trackeff_vs_eta")
residual, weighted = file.Get("res_d0"), file.Get("weighted")
two, profile = file.Get("res_d0_vs_eta"), file.Get("holes_vs_eta")
bins = range(1, 4)
print(
    json.dumps(
        {
            "consistent": bool(ROOT.TEfficiency.CheckConsistency(passed, total)),
            "efficiency": [efficiency.GetEfficiency(i) for i in bins],
            "ratio": [ratio.GetBinContent(i) for i in bins],
            "ratio_error": [ratio.GetBinError(i) for i in bins],
            "edges": [passed.GetXaxis().GetBinLowEdge(i) for i in range(1, 5)],
            "titles": [ratio.GetTitle(), ratio.GetXaxis().GetTitle(), ratio.GetYaxis().GetTitle()],
            "classes": [h.ClassName() for h in (passed, residual, two, profile)],
            "residual": [residual.GetBinContent(i) for i in range(5)],
            "residual_mean": residual.GetMean(),
            "residual_sigma": residual.GetStdDev(),
            "residual_entries": residual.GetEntries(),
            "weighted_error": [weighted.GetBinError(i) for i in bins],
            "two": [[two.GetBinContent(i, j) for j in (1, 2)] for i in bins],
            "two_sizes": [two.GetNbinsX(), two.GetNbinsY()],
            "two_means": [two.GetMean(1), two.GetMean(2)],
            "profile": [profile.GetBinContent(i) for i in bins],
            "profile_error": [profile.GetBinError(i) for i in bins],
            "profile_entries": [profile.GetBinEntries(i) for i in bins],
            "provenance": str(file.Get("provenance").GetString()),
        }
    )
)
