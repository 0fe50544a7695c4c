"""TLS, mutual TLS and tokens of a server in a process of its own: our clients, others' clients, and what leaks."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from convserve_proto import open_inference as oip
from convserve_server.access.tokens import Scope
from support.artifacts import write_sum
from support.certificates import Authority, Issued
from support.servers import ServerProcess
from support.tokens import SECRETS, bearer, write_tokens

BUF = shutil.which("buf", path=str(Path(sys.executable).parent)) or shutil.which("buf")
TRITON = """
import sys
import numpy, tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

address, authority, certificate, key, secret = sys.argv[1], *sys.argv[2:5], open(sys.argv[5]).read()
tls = dict(ssl=True, root_certificates=authority, certificate_chain=certificate, private_key=key)
client = triton.InferenceServerClient(address, **tls)
assert client.is_server_ready()
tensors = []
for name in ("a", "b"):
    tensors.append(triton.InferInput(name, [1, 2], "FP32"))
    tensors[-1].set_data_from_numpy(numpy.ones((1, 2), numpy.float32))
try:
    client.infer("sum", tensors)
except InferenceServerException as error:
    print(error.status())
reply = client.infer("sum", tensors, headers={"authorization": "Bearer " + secret})
print(reply.get_response().outputs[0].shape)
"""


@dataclass(frozen=True)
class Secured:
    """A server with mutual TLS and tokens, and what its callers need."""

    server: ServerProcess
    folder: Path
    authority: Authority
    caller: Issued
    tokens: Path

    @property
    def address(self) -> str:
        return self.server.address.replace("127.0.0.1", "localhost")

    def secret(self, scope: Scope) -> Path:
        path = self.folder / f"{scope}.token"
        path.write_text(SECRETS[scope])
        return path

    def ours(self, scope: Scope | None, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Our command line, with the certificate and a token of this scope."""
        tls: list[str | Path] = ["--ca-file", self.authority.certificate, "--cert-file", self.caller.certificate]
        given: list[str | Path] = ["--server", self.address, *tls, "--key-file", self.caller.key]
        if scope is not None:
            given += ["--token-file", self.secret(scope)]
        command = [sys.executable, "-m", "convserve_client", *arguments, *map(str, given)]
        return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


@pytest.fixture(scope="module", params=["standard", "fast", "workers"])
def secured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secured")
    write_sum(folder / "models")
    authority = Authority(folder)
    server, caller = authority.issue("server"), authority.issue("caller", "caller.example")
    tokens = write_tokens(folder / "tokens.toml")
    how = ["--workers", "2"] if request.param == "workers" else ["--transport", request.param]
    tls = ["--tls-certificate", server.certificate, "--tls-key", server.key, "--tls-client-ca", authority.certificate]
    more = ["--tokens", str(tokens), "--provider", "cpu", "--log-level", "debug", *map(str, tls), *how]
    with ServerProcess(folder / "models", folder, *more) as process:
        yield Secured(process, folder, authority, caller, tokens)


def test_our_command_line_calls_with_certificate_and_token_from_files(secured: Secured) -> None:
    done = secured.ours(None, "health")
    assert done.returncode == 0, done.stderr
    np.save(secured.folder / "ones.npy", np.ones((1, 2), np.float32))
    ones = [f"--input={name}={secured.folder / 'ones.npy'}" for name in ("a", "b")]
    assert "token" in secured.ours(None, "infer", "sum", *ones).stderr
    denied = secured.ours(Scope.INFER, "models")
    assert denied.returncode == 1
    assert "scope observe" in denied.stderr
    assert secured.ours(Scope.OBSERVE, "models").returncode == 0


def test_bench_calls_with_certificate_and_token(secured: Secured, tmp_path: Path) -> None:
    # It asks for the model's metadata, and then has it run.
    both = "B0TH-scopes-0123456789abcdef"
    table = f'\n[tokens.bench]\nsecret = "{both}"\nscopes = ["infer", "observe"]\n'
    secured.tokens.write_text(write_tokens(tmp_path / "t").read_text() + table)
    path = secured.folder / "bench.token"
    path.write_text(both)
    arguments = ["bench", "sum", "--duration", "0.5", "--warm-up", "0.1", "--json", "--token-file", str(path)]
    limit = time.monotonic() + 30
    while (done := secured.ours(None, *arguments)).returncode and time.monotonic() < limit:
        time.sleep(0.5)
    assert done.returncode == 0, done.stderr
    assert both not in done.stdout + done.stderr


def test_tritonclient_calls_with_certificate_and_token(secured: Secured) -> None:
    pytest.importorskip("tritonclient")
    arguments = [secured.address, secured.authority.certificate, secured.caller.certificate, secured.caller.key]
    command = [sys.executable, "-c", TRITON, *map(str, arguments), str(secured.secret(Scope.INFER))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["StatusCode.UNAUTHENTICATED", "[1,", "2]"]


@pytest.mark.skipif(BUF is None, reason="buf (PyPI's buf-bin) is not installed")
def test_buf_curl_lists_by_reflection_with_certificate_and_token_from_a_file(secured: Secured) -> None:
    header = secured.folder / "header"
    header.write_text(f"authorization: Bearer {SECRETS[Scope.OBSERVE]}\n")
    tls = ["--cacert", secured.authority.certificate, "--cert", secured.caller.certificate, "--key", secured.caller.key]
    command = [str(BUF), "curl", "--protocol", "grpc", *map(str, tls), "--list-services"]

    def curl(*more: str) -> subprocess.CompletedProcess[str]:
        full = [*command, *more, f"https://{secured.address}"]
        return subprocess.run(full, capture_output=True, text=True, timeout=60, check=False)

    done = curl("--reflect-header", f"@{header}", "--header", f"@{header}")
    assert done.returncode == 0, done.stderr
    assert "inference.GRPCInferenceService" in done.stdout
    assert curl().returncode != 0


def outcome(channel: grpc.Channel, name: str, metadata: Any) -> str:
    try:
        channel.unary_unary(f"/{oip.SERVICE}/{name}", lambda b: b, lambda b: b)(b"", timeout=20, metadata=metadata)
    except grpc.RpcError as error:
        return f"{error.code()} {error.details()} {error.trailing_metadata()}"
    return "OK"


@pytest.mark.parametrize("transport", ["standard", "fast"])
def test_no_secret_is_in_logs_metrics_errors_or_the_list_of_processes(tmp_path: Path, transport: str) -> None:
    write_sum(tmp_path / "models")
    plain, broken = "PL41N-0123456789-0123456789", "BR0K3N-0123456789-0123456789"
    tokens = write_tokens(tmp_path / "tokens.toml")
    with tokens.open("a") as file:
        file.write(f'\n[tokens.plain]\nsecret = "{plain}"\nscopes = ["infer"]\n')
    more = ["--transport", transport, "--provider", "cpu", "--log-level", "debug", "--metrics", "127.0.0.1:0"]
    more += ["--tokens", str(tokens), "--profiling", "--log-requests"]
    said: list[str] = []
    with ServerProcess(tmp_path / "models", tmp_path, *more) as server:
        with grpc.insecure_channel(server.address) as channel:
            for secret in (*SECRETS.values(), plain, "GU3SS3D-0123456789"):
                for name in ("ModelInfer", "ServerMetadata", "LogSettings", "Nothing"):
                    headers = [(("authorization", scheme + secret),) for scheme in ("Bearer ", "Basic ", "")]
                    said += [outcome(channel, name, header) for header in headers]
            assert "OK" in said
        port = server.log.read_text().partition("metrics at port ")[2].partition(":")[0]
        for path in ("/metrics", "/debug/profile?seconds=0.1", "/nothing"):
            said += [page(f"http://127.0.0.1:{port}{path}", secret) for secret in SECRETS.values()]
        # A file that breaks where a secret stands.
        tokens.write_text(f"[tokens.web]\nsecret = {broken}\n")
        limit = time.monotonic() + 20
        while "stay in force" not in server.log.read_text():
            assert time.monotonic() < limit
            time.sleep(0.05)
        process = Path(f"/proc/{server.process.pid}")
        if process.exists():
            said += [(process / name).read_bytes().decode(errors="replace") for name in ("cmdline", "environ")]
        assert server.stop() == 0
        said.append(server.log.read_text())
    everything = "\n".join(said)
    assert "convserve_calls_total" in everything
    for secret in (*SECRETS.values(), plain, broken, "GU3SS3D-0123456789"):
        assert secret not in everything


def page(url: str, secret: str) -> str:
    request = urllib.request.Request(url, headers={"Authorization": bearer(secret)[0][1]})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return f"{error.code} {error.read().decode()}"


def test_a_profile_needs_a_token_with_scope_administer(tmp_path: Path) -> None:
    write_sum(tmp_path / "models")
    tokens = write_tokens(tmp_path / "tokens.toml")
    more = ["--provider", "cpu", "--metrics", "127.0.0.1:0", "--tokens", str(tokens), "--profiling"]
    with ServerProcess(tmp_path / "models", tmp_path, *more) as server:
        assert server.address
        port = server.log.read_text().partition("metrics at port ")[2].partition(":")[0]
        url = f"http://127.0.0.1:{port}/debug/profile?seconds=0.1"
        assert page(url, "unknown").startswith("401 the token that was sent is not known")
        assert page(url, SECRETS[Scope.INFER]).startswith("403 a profile needs a token with scope administer")
        assert not page(url, SECRETS[Scope.ADMINISTER]).startswith("4")


@pytest.mark.parametrize(("listen", "said"), [("0.0.0.0:0", True), ("[::]:0", True), ("127.0.0.1:0", False)])
def test_listening_wider_without_tls_and_tokens_is_said_at_start(tmp_path: Path, listen: str, said: bool) -> None:
    write_sum(tmp_path / "models")
    with ServerProcess(tmp_path / "models", tmp_path, "--provider", "cpu", "--listen", listen) as server:
        assert server.address
        log = server.log.read_text()
    assert ("WITHOUT TLS AND WITHOUT TOKENS" in log) == said


def test_the_command_makes_a_token(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "convserve_server", "--make-token", "web"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert json.dumps("web") in done.stdout
    assert done.stderr.splitlines()[-1] not in done.stdout
