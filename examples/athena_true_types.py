"""How does an Athena dump that uproot wrote get the true types of DumpObjects?

Run with a real ROOT:

    trkx convert sample --to athena dump.root
    .venv-root/bin/python examples/athena_true_types.py dump.root Dump_GNN4Itk.root

uproot can write arrays with counters, but no vectors of vectors and no strings, so that `trkx
convert` lays lists of lists end to end and writes 0 and 1 for PIXEL and STRIP. Here these become
`vector<vector<int>>` and so on, and `vector<string>`; everything else is copied. ACTS'
RootAthenaDumpReader and acorn read the result. `make root-env` makes an environment with ROOT; it
needs a C++ compiler for the dictionaries of the vectors.
"""

from __future__ import annotations

import argparse
import os
import tempfile

import ROOT

TREE = "GNN4ITk"
CODE = r"""
#include <map>
#include <memory>
#include <string>
#include <vector>
#include <TBranch.h>
#include <TFile.h>
#include <TLeaf.h>
#include <TTree.h>

// A branch that is read, and what is written instead of it.
struct Column {
  virtual ~Column() = default;
  virtual void fill() {}
  // By the name of the class: ROOT keeps a pointer to the pointer.
  void write(TTree& tree, const std::string& name, const std::string& kind, void* object) {
    written = object;
    tree.Branch(name.c_str(), kind.c_str(), static_cast<void*>(&written));
  }
  void* written = nullptr;
  const int* count = nullptr;
  std::vector<int>* sizes = nullptr;
};

template <typename Stored>
struct Array : Column {
  std::vector<Stored> items;
  Array(TTree& tree, const std::string& name, std::size_t size) : items(size) {
    tree.SetBranchAddress(name.c_str(), static_cast<void*>(items.data()));
  }
};

template <typename T, typename Stored>
struct Lists : Array<Stored> {
  using Array<Stored>::Array;
  std::vector<std::vector<T>> lists;
  void fill() override {
    lists.resize(*this->count);
    auto at = this->items.begin();
    for (std::size_t i = 0; i < lists.size(); at += (*this->sizes)[i++]) {
      lists[i].assign(at, at + (*this->sizes)[i]);
    }
  }
};

struct Words : Array<char> {
  using Array<char>::Array;
  std::vector<std::string> words;
  void fill() override {
    words.clear();
    for (int i = 0; i < *count; ++i) { words.push_back(items[i] ? "STRIP" : "PIXEL"); }
  }
};

class Conversion {
 public:
  explicit Conversion(TTree& source) : m_source(source) {}

  // Counters come first in the tree, and the sizes of lists before their items.
  void add(const std::string& name, TTree& target) {
    TLeaf* leaf = static_cast<TLeaf*>(m_source.GetBranch(name.c_str())->GetListOfLeaves()->At(0));
    const std::string type = leaf->GetTypeName();
    if (name == "CLhardware") {
      auto words = make<Words>(name, leaf);
      words->write(target, name, "vector<string>", &words->words);
    } else if (m_source.GetBranch((name + "_size").c_str()) != nullptr) {
      if (type == "Int_t") lists<int, int>(name, leaf, "int", target);
      if (type == "Float_t") lists<float, float>(name, leaf, "float", target);
      if (type == "Double_t") lists<double, double>(name, leaf, "double", target);
      if (type == "Bool_t") lists<bool, char>(name, leaf, "bool", target);
    } else {
      if (type == "Int_t") array<int>(name, leaf, "I", target);
      if (type == "UInt_t") array<unsigned int>(name, leaf, "i", target);
      if (type == "ULong64_t") array<ULong64_t>(name, leaf, "l", target);
      if (type == "Float_t") array<float>(name, leaf, "F", target);
      if (type == "Double_t") array<double>(name, leaf, "D", target);
    }
  }

  void fill() {
    for (auto& [name, column] : m_columns) { column->fill(); }
  }

 private:
  template <typename C>
  C* make(const std::string& name, TLeaf* leaf) {
    TLeaf* counter = leaf->GetLeafCount();
    const std::size_t size = counter ? m_source.GetMaximum(counter->GetName()) + 1 : 1;
    auto column = std::make_unique<C>(m_source, name, size);
    C* raw = column.get();
    if (counter) { raw->count = counterOf(counter->GetName()); }
    m_columns[name] = std::move(column);
    return raw;
  }

  template <typename T, typename Stored>
  void lists(const std::string& name, TLeaf* leaf, const std::string& item, TTree& target) {
    auto column = make<Lists<T, Stored>>(name, leaf);
    const std::string sizes = name + "_size";
    column->sizes = &static_cast<Array<int>*>(m_columns.at(sizes).get())->items;
    column->count = m_columns.at(sizes)->count;
    column->write(target, name, "vector<vector<" + item + "> >", &column->lists);
  }

  template <typename Stored>
  void array(const std::string& name, TLeaf* leaf, const std::string& code, TTree& target) {
    auto column = make<Array<Stored>>(name, leaf);
    // What tells how lists are laid end to end is read, but not written.
    const std::string end = "_size";
    const bool sizes = name.size() > end.size() && name.substr(name.size() - end.size()) == end;
    if (sizes || m_source.GetBranch((name.substr(1) + end).c_str()) != nullptr) return;
    const std::string length =
        leaf->GetLeafCount() ? std::string("[") + leaf->GetLeafCount()->GetName() + "]" : "";
    target.Branch(name.c_str(), static_cast<void*>(column->items.data()),
                  (name + length + "/" + code).c_str());
  }

  const int* counterOf(const std::string& name) {
    return static_cast<Array<int>*>(m_columns.at(name).get())->items.data();
  }

  TTree& m_source;
  std::map<std::string, std::unique_ptr<Column>> m_columns;
};

long giveTrueTypes(const std::string& from, const std::string& to, const std::string& name) {
  std::unique_ptr<TFile> source(TFile::Open(from.c_str()));
  TTree* tree = static_cast<TTree*>(source->Get(name.c_str()));
  if (tree == nullptr) { return -1; }
  TFile file(to.c_str(), "RECREATE");
  TTree target(name.c_str(), tree->GetTitle());
  Conversion conversion(*tree);
  for (TObject* branch : *tree->GetListOfBranches()) { conversion.add(branch->GetName(), target); }
  const long events = tree->GetEntries();
  for (long i = 0; i < events; ++i) {
    tree->GetEntry(i);
    conversion.fill();
    target.Fill();
  }
  file.Write();
  // Where the events come from; those of seeds for tests must be told from others.
  if (TObject* made = source->Get("provenance")) { file.WriteTObject(made, "provenance"); }
  tree->ResetBranchAddresses();
  target.ResetBranchAddresses();
  return events;
}
"""


def make_dictionaries(scratch: str) -> None:
    """Let ROOT know the vectors of vectors that it does not: it compiles a library for them."""
    here = os.getcwd()
    os.chdir(scratch)
    ROOT.gInterpreter.GenerateDictionary("vector<vector<int> >;vector<vector<bool> >", "vector")
    os.chdir(here)


def runConversion() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("source", help="file of `trkx convert --to athena`")
    parser.add_argument("target", help="file to write")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        make_dictionaries(scratch)
        ROOT.gInterpreter.Declare(CODE)
        events = ROOT.giveTrueTypes(args.source, args.target, TREE)
    if events < 0:
        parser.error(f"no tree {TREE} in {args.source}")
    print(f"{events} events -> {args.target}")


if __name__ == "__main__":
    runConversion()
