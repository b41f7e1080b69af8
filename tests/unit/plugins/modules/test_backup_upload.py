# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Against a real S3 over HTTP: moto's server."""

from __future__ import annotations

import pytest

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _backup
from ansible_collections.mixedversion.kubernetes.plugins.modules import backup_store, backup_upload

pytestmark = pytest.mark.s3
# Not in the environment of the other tests, which collect this file all the same.
moto_server = pytest.importorskip("moto.server")

NAME = "20261124T100000Z-0a1b"


@pytest.fixture(scope="module")
def endpoint():
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def client(endpoint, monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    client = backup_upload.connect({"endpoint_url": endpoint, "region": "us-east-1"})
    client.create_bucket(Bucket="backups")
    return client


def no_command(*_arguments):
    raise AssertionError("only an encrypted copy needs a command")


@pytest.fixture
def path(tmp_path):
    source = tmp_path / "fetched"
    source.mkdir()
    # More than one part of a multipart upload.
    (source / "snapshot.db").write_bytes(b"snapshot " * 1_200_000)
    path = str(tmp_path / NAME)
    manifest = {"run_id": NAME, "taken": "2026-11-24T10:00:00Z", "cluster": {"uid": "ours"}, "verified": True}
    params = {"path": path, "source": str(source), "manifest": manifest, "expected": {}, "recipient_file": ""}
    backup_store.store(no_command, {**params, "collection": "0.2.0"})
    return path


def test_what_is_uploaded_comes_back_the_same(client, path):
    total = backup_upload.upload(client, "backups", "/clusters/one/", path)
    found = {item["Key"]: item["Size"] for item in client.list_objects_v2(Bucket="backups")["Contents"]}
    assert sorted(found) == [f"clusters/one/{NAME}/manifest.json", f"clusters/one/{NAME}/snapshot.db"]
    assert sum(found.values()) == total


def test_what_was_changed_on_the_way_is_found(client, path):
    with open(f"{path}/snapshot.db", "r+b") as file:
        file.write(b"Snapshot")
    with pytest.raises(_backup.BackupError, match=f"s3://backups/{NAME}/snapshot.db came back with 10800000 bytes"):
        backup_upload.upload(client, "backups", "", path)


def test_a_missing_bucket_is_an_error_of_botocore(client, path):
    with pytest.raises(backup_upload.boto3.exceptions.S3UploadFailedError, match="NoSuchBucket"):
        backup_upload.upload(client, "nobodys", "", path)


@pytest.mark.parametrize(
    ("url", "expected"),
    [(None, False), ("https://minio.example.org", False), ("http://127.0.0.1:9000", False), ("http://minio", True)],
)
def test_only_tls_or_the_loopback_will_do(url, expected):
    assert backup_upload.plain(url) is expected
