"""Who has no certificate, a wrong one, or no token gets nothing: no labels and no metadata."""

import pytest

from trkx.algorithms.cli.main import main
from trkx.plugin.errors import ServerError, ServiceError
from trkx.plugin.serving.certificates import CertificateFolder
from trkx.plugin.serving.endpoint import parse_endpoints
from trkx.plugin.serving.exchange import CLIENT_OUTPUTS, event_inputs
from trkx.plugin.serving.security import Security, read_token
from trkx.plugin.serving.server import ServerConfig, TritonServer
from trkx.plugin.serving.transport import Call, connect

TOKEN = "open-sesame.42"
FREE = {"grpc_port": 0, "http_port": 0, "metrics_port": 0}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    pytest.importorskip("cryptography")
    return [
        CertificateFolder.open(tmp_path_factory.mktemp("tls") / name, ["localhost", "127.0.0.1"])
        for name in ("ours", "theirs")
    ]


@pytest.fixture(scope="module")
def guarded(repository, certificates):
    """A server that wants a certificate and a token."""
    config = ServerConfig(
        repository, certificates=certificates[0], mutual=True, token=TOKEN, **FREE
    )
    with TritonServer(config) as running:
        yield running


@pytest.fixture(scope="module")
def with_token(repository):
    with TritonServer(ServerConfig(repository, token=TOKEN, **FREE)) as running:
        yield running


def certificate(folder, authority=None):
    return {
        "root_certificates": (authority or folder).authority,
        "certificate": folder.certificate("client"),
        "private_key": folder.key("client"),
    }


def everything(url, security, points):
    """All that a client can ask, as calls."""
    (endpoint,) = parse_endpoints(url)
    transport = connect(endpoint, security)
    call = Call("trkx", event_inputs(points, (0.0, 0.0)), CLIENT_OUTPUTS)
    asked = {
        "labels": lambda: transport.infer(call, 10.0),
        "metadata": lambda: transport.metadata("trkx", "", 10.0),
        "configuration": lambda: transport.parameters("trkx", "", 10.0),
        "statistics": lambda: transport.statistics("trkx", "", 10.0),
    }
    return transport, asked


def assert_nothing(url, security, points, message=None):
    transport, asked = everything(url, security, points)
    for call in asked.values():
        with pytest.raises(ServiceError, match=message):
            call()
    transport.close()


def assert_all(url, security, points):
    transport, asked = everything(url, security, points)
    assert {name for name, call in asked.items() if call()} == set(asked)
    transport.close()


def test_who_shows_all_is_answered(guarded, events):
    assert guarded.grpc_url.startswith("grpcs://") and guarded.http_url is None
    assert_all(guarded.grpc_url, guarded.client_security, events[0])


def test_without_encryption(guarded, events):
    plain = guarded.grpc_url.replace("grpcs", "grpc")
    assert_nothing(plain, Security(token=TOKEN), events[0])


def test_without_a_certificate(guarded, certificates, events):
    shown = Security(root_certificates=certificates[0].authority, token=TOKEN)
    assert_nothing(guarded.grpc_url, shown, events[0])


def test_with_a_certificate_of_someone_else(guarded, certificates, events):
    ours, theirs = certificates
    shown = Security(**certificate(theirs, authority=ours), token=TOKEN)
    assert_nothing(guarded.grpc_url, shown, events[0])


def test_a_server_of_someone_else_is_not_believed(guarded, certificates, events):
    shown = Security(**certificate(certificates[1]), token=TOKEN)
    assert_nothing(guarded.grpc_url, shown, events[0])


def test_a_certificate_without_the_token(guarded, certificates, events):
    shown = Security(**certificate(certificates[0]))
    assert_nothing(guarded.grpc_url, shown, events[0], "PERMISSION_DENIED")


@pytest.mark.parametrize("protocol", ["grpc", "http"])
@pytest.mark.parametrize("token", [None, "open-sesame.43", ""])
def test_no_token_or_a_wrong_one(protocol, token, with_token, events):
    url = with_token.grpc_url if protocol == "grpc" else with_token.http_url
    assert_nothing(url, Security(token=token), events[0])


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_the_right_token(protocol, with_token, events):
    url = with_token.grpc_url if protocol == "grpc" else with_token.http_url
    assert_all(url, Security(token=TOKEN), events[0])


@pytest.mark.parametrize("content", ["", "two words", "a,b", "a=b", "schlüssel", "\n"])
def test_what_no_token_is(content, tmp_path, capsys, tiny_sample):
    file = tmp_path / "token"
    file.write_text(content)
    with pytest.raises(ServerError, match="one word of letters") as caught:
        read_token(file)
    assert not content.strip() or content not in str(caught.value)
    job = ["run", "--input", str(tiny_sample), "--out", str(tmp_path / "out")]
    service = ["--backend", "triton", "--url", "localhost", "--token-file", str(file)]
    for command in (["serve", "--token-file", str(file)], [*job, *service]):
        assert main(command) == 2
        assert "one word of letters" in capsys.readouterr().err


def test_beyond_this_machine_only_encrypted_or_by_consent(capsys):
    assert main(["serve", "--address", "0.0.0.0"]) == 2
    said = capsys.readouterr().err
    assert "can be reached from other machines" in said
    assert "--tls DIR" in said and "--insecure" in said
