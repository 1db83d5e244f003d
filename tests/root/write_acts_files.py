"""Run with ROOT: write event files as ACTS' C++ writers do, from a JSON file of columns.

Arguments: JSON file, folder, and `tree` or `ntuple`.
"""

import array
import json
import pathlib
import sys

import ROOT

# Branch types as in ACTS' RootSpacePointWriter, RootMeasurementWriter and RootParticleWriter.
SCALARS = {"u32": ("I", "i"), "u64": ("Q", "l"), "i32": ("i", "I"), "f32": ("f", "F")}
LISTS = {
    "u32": "unsigned int",
    "u64": "unsigned long",
    "i32": "int",
    "f32": "float",
    "u8": "unsigned char",
}
FIELDS = {
    "u32": "std::uint32_t",
    "u64": "std::uint64_t",
    "i32": "std::int32_t",
    "f32": "float",
    "u8": "std::uint8_t",
}


def write_tree(path, name, columns):
    file = ROOT.TFile(str(path), "RECREATE")
    tree = ROOT.TTree(name, name)
    buffers = {}
    for column, (kind, _) in columns.items():
        if kind.startswith("list "):
            buffers[column] = ROOT.std.vector(LISTS[kind[5:]])()
            tree.Branch(column, buffers[column])
        else:
            code, leaf = SCALARS[kind]
            buffers[column] = array.array(code, [0])
            tree.Branch(column, buffers[column], f"{column}/{leaf}")
    for row in range(len(next(iter(columns.values()))[1])):
        for column, (kind, values) in columns.items():
            if kind.startswith("list "):
                buffers[column].clear()
                for value in values[row]:
                    buffers[column].push_back(value)
            else:
                buffers[column][0] = values[row]
        tree.Fill()
    tree.Write()
    file.Close()


def write_ntuple(path, name, columns):
    model = ROOT.RNTupleModel.Create()
    for column, (kind, _) in columns.items():
        if kind.startswith("list "):
            model.MakeField[f"std::vector<{FIELDS[kind[5:]]}>"](column)
        else:
            model.MakeField[FIELDS[kind]](column)
    writer = ROOT.RNTupleWriter.Recreate(model, name, str(path))
    entry = writer.CreateEntry()
    for row in range(len(next(iter(columns.values()))[1])):
        for column, (kind, values) in columns.items():
            if kind.startswith("list "):
                vector = ROOT.std.vector(FIELDS[kind[5:]])()
                for value in values[row]:
                    vector.push_back(value)
                entry[column] = vector
            else:
                entry[column] = values[row]
        writer.Fill(entry)
    del writer


def main():
    source, folder, kind = sys.argv[1:]
    write = write_tree if kind == "tree" else write_ntuple
    for name, columns in json.loads(pathlib.Path(source).read_text()).items():
        write(pathlib.Path(folder) / f"{name.lower()}.root", name, columns)


main()
