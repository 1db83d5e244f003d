"""Training of the stages' networks with PyTorch Lightning; nothing here is needed to find tracks.

`settings` says how to optimise, `examples` keeps what is trained on, `batching` shares it out
evenly, `fit` runs the optimisation, and `stages` lists what can be trained.
"""
