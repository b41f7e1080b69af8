# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""Talking to every API server directly, with the identity that a kubeconfig gives.

The kubernetes client does what is a client's work (kubeconfig, exec plug-ins, tokens, proxies, TLS);
this adds one connection pool a server, addressed by the server's own address.
"""

from __future__ import annotations

import concurrent.futures
import copy
import dataclasses
import datetime
import email.utils
import hashlib
import json
import os
import socket
import traceback
import typing as t
import urllib.parse

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _leases, _tls

try:
    import kubernetes
    import urllib3

    IMPORT_ERROR = None
except ImportError:
    IMPORT_ERROR = traceback.format_exc()

# Every serving certificate must carry it, or no peer could verify it either.
TLS_SERVER_NAME = "kubernetes.default.svc"
REQUEST_TIMEOUT = 10.0

R = t.TypeVar("R")


class ApiError(Exception):
    """An answer that is not the one asked for. ``status`` is 0 when there was no answer at all."""

    def __init__(self, server: str, path: str, status: int, words: str) -> None:
        super().__init__(f"{server}: {path} answered {status}: {words}" if status else f"{server}: {words}")
        self.server = server
        self.path = path
        self.status = status
        self.words = words


@dataclasses.dataclass(frozen=True)
class Answer:
    """An HTTP answer, read to its end."""

    status: int
    body: bytes
    headers: t.Mapping[str, str]

    @property
    def words(self) -> str:
        """What the server said, in one line: the message of its Status, or its text."""
        try:
            document = json.loads(self.body)
        except ValueError:
            document = None
        message = document.get("message") if isinstance(document, dict) else None
        return str(message or self.body.decode(errors="replace"))[:300].replace("\n", " ").strip()

    @property
    def date(self) -> datetime.datetime:
        """The time by the server's own clock, to the second."""
        return email.utils.parsedate_to_datetime(self.headers["Date"])

    def json(self) -> t.Any:
        return json.loads(self.body)


@dataclasses.dataclass(frozen=True)
class Target:
    """A server and where it is reached."""

    name: str
    address: str

    @property
    def url(self) -> str:
        return self.address if self.address.startswith("https://") else f"https://{self.address}"


class Server:
    """Keep-alive connections to one endpoint. Safe to use from several threads."""

    def __init__(self, name: str, configuration: t.Any) -> None:
        self.name = name
        self.host = configuration.host
        self._configuration = configuration
        self._pool = kubernetes.client.ApiClient(configuration).rest_client.pool_manager
        self._cache: dict[tuple[str, str], tuple[str, Answer]] = {}

    def request(
        self,
        method: str,
        path: str,
        headers: t.Mapping[str, str] | None = None,
        body: t.Any | None = None,
        timeout: t.Any = REQUEST_TIMEOUT,
    ) -> Answer:
        """Send one request, never a second one for it. Raises :class:`ApiError` only when nothing answered.

        *timeout* is in seconds, for the connection and for the answer each; or a ``urllib3.Timeout``.
        """
        sent = {"Accept": "application/json", **(headers or {})}
        for setting in self._configuration.auth_settings().values():
            if setting["in"] == "header" and setting["value"]:
                sent[setting["key"]] = setting["value"]
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        try:
            response = self._pool.request(
                method, self.host + path, headers=sent, body=data, timeout=timeout, retries=False, redirect=False
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ApiError(self.name, path, 0, _plain(error, self.host)) from error
        return Answer(response.status, response.data, response.headers)

    def get(self, path: str, headers: t.Mapping[str, str] | None = None, timeout: float = REQUEST_TIMEOUT) -> t.Any:
        """GET a JSON document; any answer but 200 is an :class:`ApiError`."""
        return self._expect("GET", path, headers=headers, timeout=timeout).json()

    def get_text(self, path: str, timeout: float = REQUEST_TIMEOUT) -> str:
        """GET a text such as /metrics; any answer but 200 is an :class:`ApiError`."""
        return self._expect("GET", path, headers={"Accept": "*/*"}, timeout=timeout).body.decode()

    def get_cached(self, path: str, accept: str) -> tuple[Answer, bool]:
        """GET with the ETag of the last answer; returns the document and whether it changed since."""
        known = self._cache.get((path, accept))
        headers = {"Accept": accept}
        if known:
            headers["If-None-Match"] = known[0]
        answer = self.request("GET", path, headers=headers)
        if answer.status == 304 and known:
            return known[1], False
        if answer.status != 200:
            raise ApiError(self.name, path, answer.status, answer.words)
        etag = answer.headers.get("ETag")
        if etag:
            self._cache[(path, accept)] = (etag, answer)
        return answer, True

    def send(self, method: str, path: str, body: t.Any, content_type: str = "application/json") -> t.Any:
        """Write; any answer but success is an :class:`ApiError`."""
        return self._expect(method, path, headers={"Content-Type": content_type}, body=body).json()

    def certificate_sum(self, timeout: float) -> str:
        """SHA-256 of the certificate that a new connection is answered with; verified, and nothing is sent over it."""
        parts = urllib.parse.urlsplit(self.host)
        try:
            context = _tls.verifying(self._configuration.ssl_ca_cert)
            with socket.create_connection((parts.hostname or "", parts.port or 443), timeout) as raw:
                name = self._configuration.tls_server_name or parts.hostname
                with context.wrap_socket(raw, server_hostname=name) as wrapped:
                    return hashlib.sha256(wrapped.getpeercert(binary_form=True) or b"").hexdigest()
        except OSError as error:
            raise ApiError(self.name, "/", 0, f"no certificate from {self.host}: {error}") from error

    def _expect(self, method: str, path: str, **kwargs: t.Any) -> Answer:
        answer = self.request(method, path, **kwargs)
        if not 200 <= answer.status <= 299:
            raise ApiError(self.name, path, answer.status, answer.words)
        return answer


class Cluster:
    """The endpoint of the kubeconfig (often a load balancer) and, from it, each server by itself."""

    def __init__(self, configuration: t.Any, tls_server_name: str) -> None:
        self._configuration = configuration
        self._tls_server_name = tls_server_name
        self.endpoint = Server("kubeconfig's server", configuration)

    def server(self, target: Target) -> Server:
        """A connection to *target* itself, verified against the kubeconfig's CA under the servers' common name."""
        configuration = copy.copy(self._configuration)
        configuration.host = target.url
        configuration.tls_server_name = self._tls_server_name
        configuration.assert_hostname = None
        return Server(target.name, configuration)

    def leases(self) -> list[_leases.Lease]:
        """The identity Leases of all servers, as the kubeconfig's endpoint lists them."""
        return _leases.parse_list(self.endpoint.get(f"{_leases.LIST_PATH}?{_leases.LIST_QUERY}"))


AUTH_OPTIONS: dict[str, dict[str, t.Any]] = {
    "kubeconfig": {"type": "path", "fallback": ("K8S_AUTH_KUBECONFIG", "KUBECONFIG")},
    "context": {"type": "str", "fallback": ("K8S_AUTH_CONTEXT",)},
    "host": {"type": "str", "fallback": ("K8S_AUTH_HOST",)},
    "api_key": {"type": "str", "no_log": True, "fallback": ("K8S_AUTH_API_KEY",)},
    "ca_cert": {"type": "path", "aliases": ["ssl_ca_cert"], "fallback": ("K8S_AUTH_SSL_CA_CERT",)},
    "client_cert": {"type": "path", "aliases": ["cert_file"], "fallback": ("K8S_AUTH_CERT_FILE",)},
    "client_key": {"type": "path", "aliases": ["key_file"], "fallback": ("K8S_AUTH_KEY_FILE",)},
    "tls_server_name": {"type": "str", "default": TLS_SERVER_NAME},
}


def argument_spec() -> dict[str, dict[str, t.Any]]:
    """The options every module of the action group ``api`` has."""
    from ansible.module_utils.basic import env_fallback

    spec: dict[str, dict[str, t.Any]] = {}
    for name, option in AUTH_OPTIONS.items():
        option = dict(option)
        if "fallback" in option:
            option["fallback"] = (env_fallback, list(option["fallback"]))
        spec[name] = option
    spec["servers"] = {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "lease": {"type": "str", "default": ""},
        },
    }
    return spec


def connect(module: AnsibleModule) -> Cluster:
    """The cluster that the module's options name; a failure of the module when they name none."""
    if IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=IMPORT_ERROR)
    params = module.params
    configuration = kubernetes.client.Configuration()
    if params["host"] is None:
        path = params["kubeconfig"]
        if path and not os.path.exists(path):
            module.fail_json(
                msg=f"The kubeconfig {path} does not exist on the host this module ran on (in {os.getcwd()}). Set "
                "control_plane_kubeconfig (or K8S_AUTH_KUBECONFIG) to the whole path of one that does."
            )
        try:
            kubernetes.config.load_kube_config(
                config_file=path, context=params["context"], client_configuration=configuration, persist_config=False
            )
        except (kubernetes.config.ConfigException, OSError, ValueError) as error:
            module.fail_json(
                msg=f"The kubeconfig {path or 'at its default place'} can't be used: {error}. "
                "Set control_plane_kubeconfig to one that works with kubectl."
            )
    else:
        configuration.host = params["host"].rstrip("/")
    if params["api_key"]:
        configuration.api_key["authorization"] = f"Bearer {params['api_key']}"
    for option, attribute in (("ca_cert", "ssl_ca_cert"), ("client_cert", "cert_file"), ("client_key", "key_file")):
        if params[option]:
            setattr(configuration, attribute, params[option])
    if not configuration.verify_ssl:
        module.fail_json(
            msg="The kubeconfig switches TLS verification off (insecure-skip-tls-verify). "
            "Give it the cluster's certificate-authority-data instead; this collection always verifies."
        )
    return Cluster(configuration, params["tls_server_name"])


def targets(module: AnsibleModule, cluster: Cluster) -> list[Target]:
    """The servers to talk to: those of the option ``servers``, else those that announce their address by Lease."""
    if module.params["servers"]:
        return [Target(item["name"], item["address"]) for item in module.params["servers"]]
    leases = cluster.leases()
    silent = [lease.hostname or lease.name for lease in leases if not lease.address]
    if silent or not leases:
        raise ApiError(
            "kubeconfig's server",
            _leases.LIST_PATH,
            0,
            f"no address is announced by {', '.join(silent) or 'any server'} (the gate is off there). "
            "Name the addresses in the option servers.",
        )
    return [Target(lease.hostname, lease.address) for lease in leases]


def read(server: Server, path: str, accept: str = "application/json") -> Answer:
    """GET an answer whose headers matter as well; any but 200 is an :class:`ApiError`."""
    answer = server.request("GET", path, headers={"Accept": accept})
    if answer.status != 200:
        raise ApiError(server.name, path, answer.status, answer.words)
    return answer


def at_once(work: t.Mapping[str, t.Callable[[], R]]) -> dict[str, R | ApiError]:
    """Run one call a server, all at the same time; an :class:`ApiError` is a result like any other."""

    def guarded(call: t.Callable[[], R]) -> R | ApiError:
        try:
            return call()
        except ApiError as error:
            return error

    if not work:
        return {}
    with concurrent.futures.ThreadPoolExecutor(max_workers=len(work)) as pool:
        futures = {name: pool.submit(guarded, call) for name, call in work.items()}
        return {name: future.result() for name, future in futures.items()}


def _plain(error: Exception, host: str) -> str:
    """A connection error in the words of its root, without the library's wrapping."""
    # What was refused or has no route is a ConnectTimeoutError to urllib3 as well, under a name of its own.
    if isinstance(error, urllib3.exceptions.ConnectTimeoutError) and not isinstance(
        error, urllib3.exceptions.NewConnectionError
    ):
        return f"no connection to {host} in time (filtered, or the host is down)"
    if isinstance(error, urllib3.exceptions.ReadTimeoutError):
        return f"connected to {host}, but no answer in time"
    root: BaseException = error
    while root.__cause__ or root.__context__:
        root = t.cast(BaseException, root.__cause__ or root.__context__)
    return f"no answer from {host}: {root}"
