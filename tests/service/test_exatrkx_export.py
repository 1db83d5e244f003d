"""The exported models of the published contract: configurations, TorchScript, checksums."""

import numpy as np
import pytest

from trkx.algorithms.cli.main import main
from trkx.algorithms.cli.serve import rate_limit
from trkx.plugin.serving.exatrkx_tensors import STEPS, example_inputs


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "repository"
    command = ["serve", "--export", str(folder), "--libtorch", "--instances", "2"]
    assert main([*command, "--models", "exatrkx,exatrkxcpu"]) == 0
    return folder


def parsed(path):
    """A configuration as Triton's own schema reads it; unknown names raise."""
    from google.protobuf import text_format
    from tritonclient.grpc.model_config_pb2 import ModelConfig

    return text_format.Parse(path.read_text(), ModelConfig())


def test_networks_are_torchscript_and_the_rest_is_python(exported):
    for name in STEPS:
        config = parsed(exported / name / "config.pbtxt")
        scripted = name in ("embed", "filter", "gnn")
        assert config.backend == ("pytorch" if scripted else "python")
        assert (exported / name / "1" / ("model.pt" if scripted else "model.py")).is_file()
    ensemble = parsed(exported / "exatrkx" / "config.pbtxt")
    assert [step.model_name for step in ensemble.ensemble_scheduling.step] == list(STEPS)
    assert (exported / "exatrkx" / "1").is_dir()


def test_instances_are_on_cpu_or_gpu_and_take_a_core_each(exported):
    kinds = {}
    for device in ("cpu", "gpu"):
        for name in STEPS:
            (group,) = parsed(exported / name / "configs" / f"{device}.pbtxt").instance_group
            (core,) = group.rate_limiter.resources
            assert (group.count, core.name, core.count) == (2, "core", 1)
            kinds[device, name] = group.Kind.Name(group.kind)
    assert kinds["gpu", "gnn"] == "KIND_GPU" and kinds["cpu", "gnn"] == "KIND_CPU"
    assert kinds["gpu", "wcc"] == "KIND_CPU"  # components are compiled for the CPU


def test_warm_up_files_have_the_shapes_of_the_configuration(exported):
    for name in STEPS:
        (warm_up,) = parsed(exported / name / "config.pbtxt").model_warmup
        expected = example_inputs(name, 8)
        assert set(warm_up.inputs) == set(expected)
        for tensor, spec in warm_up.inputs.items():
            content = (exported / name / "warmup" / spec.input_data_file).read_bytes()
            assert content == expected[tensor].tobytes()
            assert tuple(spec.dims) == expected[tensor].shape


def test_scripts_run_on_what_the_server_would_give_them(exported):
    torch = pytest.importorskip("torch")
    from trkx.plugin.foreign_networks import load_torchscript

    for name, shape in (("embed", (4, 8)), ("filter", (3, 1)), ("gnn", (3,))):
        inputs = [torch.from_numpy(a) for a in example_inputs(name, 8).values()]
        with torch.inference_mode():
            found = load_torchscript(exported / name / "1" / "model.pt")(*inputs)
        assert tuple(found.shape) == shape and np.isfinite(found.numpy()).all()


def test_checksums_name_all_files(exported):
    named = {line.split()[1] for line in (exported / "SHA256SUMS").read_text().splitlines()}
    assert {"gnn/1/model.pt", "exatrkx/config.pbtxt", "wcc/configs/gpu.pbtxt"} <= named


def test_rate_limit_of_the_server(capsys):
    assert rate_limit(0) == ()
    assert "--rate-limit-resource=core:3" in rate_limit(3)
    assert main(["serve", "--rate-limit", "-1"]) == 2
    assert "--rate-limit is -1" in capsys.readouterr().err


def test_libtorch_is_for_exports_only(capsys):
    assert main(["serve", "--libtorch"]) == 2
    assert "goes with --export" in capsys.readouterr().err


def test_a_gpu_model_wants_a_gpu(tmp_path, capsys):
    assert main(["serve", "--models", "exatrkxgpu", "--export", str(tmp_path / "out")]) == 2
    assert "pass --device cuda" in capsys.readouterr().err
