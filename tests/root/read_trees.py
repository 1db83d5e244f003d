"""Run with ROOT: read trees through TTreeReader and print their columns as JSON.

Arguments: number of entries to read, then pairs of file and tree. Lists are read with
TTreeReaderArray, as C++ code would.
"""

import json
import math
import sys

import ROOT

KINDS = {
    "Float_t": "float",
    "Double_t": "double",
    "Int_t": "int",
    "UInt_t": "unsigned int",
    "Long64_t": "Long64_t",
    "ULong64_t": "ULong64_t",
    "Bool_t": "bool",
    "UChar_t": "unsigned char",
    "Char_t": "char",
    "Short_t": "short",
    "UShort_t": "unsigned short",
}


def plain(value):
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def read(path, name, limit):
    file = ROOT.TFile.Open(path)
    tree = file.Get(name)
    reader = ROOT.TTreeReader(name, file)
    columns = {}
    for branch in tree.GetListOfBranches():
        leaf = branch.GetLeaf(branch.GetName()) or branch.GetListOfLeaves().At(0)
        kind = KINDS[leaf.GetTypeName()]
        is_list = bool(leaf.GetLeafCount())
        make = ROOT.TTreeReaderArray if is_list else ROOT.TTreeReaderValue
        columns[branch.GetName()] = (is_list, make[kind](reader, branch.GetName()))
    found = {column: [] for column in columns}
    entries = tree.GetEntries()
    reader.SetEntriesRange(0, min(limit, entries))
    while reader.Next():
        for column, (is_list, value) in columns.items():
            if is_list:
                found[column].append([plain(value.At(i)) for i in range(value.GetSize())])
            else:
                found[column].append(plain(value.Get()[0]))
    file.Close()
    return {"entries": entries, "columns": found}


limit, *pairs = sys.argv[1:]
paths, names = pairs[::2], pairs[1::2]
print(json.dumps([read(p, n, int(limit)) for p, n in zip(paths, names, strict=True)]))
