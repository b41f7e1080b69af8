#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Upload a backup to an S3-compatible bucket, and read it back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_upload
short_description: Upload a backup to an S3-compatible bucket and read it back
version_added: 0.1.0
description:
  - Works on the controller, with boto3, which finds the credentials in its own ways (environment, profile, role).
  - Each file goes to C(prefix/run id/name), the manifest last, and is read back. Size and SHA-256 must be those of the
    manifest.
  - Nothing in the bucket is removed; leave that to the bucket's lifecycle rules.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
requirements:
  - boto3
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.writer
  - mixedversion.kubernetes._attributes.node
  - mixedversion.kubernetes._run
options:
  path:
    description: The backup's folder. Its name is the one under the prefix.
    type: path
    required: true
  bucket:
    description: The bucket.
    type: str
    required: true
  prefix:
    description: What the keys begin with.
    type: str
    default: ""
  endpoint_url:
    description: URL of a service that is not Amazon's. HTTPS, or HTTP on the loopback.
    type: str
  region:
    description: The bucket's region; default is boto3's own way to find it.
    type: str
  validate_only:
    description: Only see whether boto3 is there and the bucket answers with the credentials there are.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Keep a copy in a bucket
  mixedversion.kubernetes.backup_upload:
    path: ./backups/20261124T100000Z-0a1b
    bucket: backups
    prefix: kubernetes
    endpoint_url: https://minio.example.org
  delegate_to: localhost
"""

RETURN = r"""
url:
  description: Where the copy is.
  returned: always
  type: str
gates:
  description: The verdict on C(backup_verified).
  returned: when uploaded
  type: list
  elements: dict
"""

import hashlib
import os
import traceback
import typing as t
import urllib.parse

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _backup, _gate

IMPORT_ERROR: str | None = None
try:
    import boto3
    import botocore.config
    import botocore.exceptions
except ImportError:
    IMPORT_ERROR = traceback.format_exc()


def plain(endpoint_url: str | None) -> bool:
    """Whether what is sent there could be read on its way."""
    if not endpoint_url:
        return False
    parts = urllib.parse.urlsplit(endpoint_url)
    return parts.scheme != "https" and parts.hostname not in ("localhost", "127.0.0.1", "::1")


def connect(params: t.Mapping[str, t.Any]) -> t.Any:
    """A client with boto3's own credentials; TLS is verified, which is its default.

    An address may come from boto3's own settings too (``AWS_ENDPOINT_URL``).
    """
    client = boto3.client(
        "s3",
        endpoint_url=params["endpoint_url"],
        region_name=params["region"],
        config=botocore.config.Config(connect_timeout=10, read_timeout=60, retries={"max_attempts": 3}),
    )
    if plain(client.meta.endpoint_url):
        raise _backup.BackupError(
            f"boto3's own settings lead to {client.meta.endpoint_url}, expected https: a backup holds every Secret"
        )
    return client


def key_of(prefix: str, path: str, name: str) -> str:
    return "/".join(part for part in (prefix.strip("/"), os.path.basename(os.path.normpath(path)), name) if part)


def upload(client: t.Any, bucket: str, prefix: str, path: str) -> int:
    """Upload what the manifest names, and it last; the bytes that were read back and found to be the same."""
    digest, size = _backup.sha256_of(os.path.join(path, _backup.MANIFEST))
    manifest = {"file": _backup.MANIFEST, "sha256": digest, "size_bytes": size}
    total = 0
    for entry in [*_backup.load(path).manifest["files"], manifest]:
        key = key_of(prefix, path, entry["file"])
        client.upload_file(os.path.join(path, entry["file"]), bucket, key)
        back, length = hashlib.sha256(), 0
        for piece in client.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(1 << 20):
            back.update(piece)
            length += len(piece)
        if (back.hexdigest(), length) != (entry["sha256"], entry["size_bytes"]):
            raise _backup.BackupError(
                f"s3://{bucket}/{key} came back with {length} bytes and sha256 {back.hexdigest()}, sent were "
                f"{entry['size_bytes']} and {entry['sha256']}"
            )
        total += length
    return total


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            {
                "path": {"type": "path", "required": True},
                "bucket": {"type": "str", "required": True},
                "prefix": {"type": "str", "default": ""},
                "endpoint_url": {"type": "str"},
                "region": {"type": "str"},
                "validate_only": {"type": "bool", "default": False},
            }
        ),
        supports_check_mode=True,
    )
    params = module.params
    url = f"s3://{params['bucket']}/{key_of(params['prefix'], params['path'], '')}"
    if IMPORT_ERROR:
        module.fail_json(
            msg=f"{missing_required_lib('boto3')} control_plane_backup_s3 wants it on the controller.",
            exception=IMPORT_ERROR,
        )
    if plain(params["endpoint_url"]):
        module.fail_json(
            msg=f"endpoint_url is {params['endpoint_url']}, expected https: a backup holds every Secret. "
            "Nothing was changed. Correct control_plane_backup_s3."
        )
    failures = (
        _backup.BackupError,
        OSError,
        boto3.exceptions.Boto3Error,
        botocore.exceptions.BotoCoreError,
        botocore.exceptions.ClientError,
    )
    if params["validate_only"]:
        try:
            connect(params).head_bucket(Bucket=params["bucket"])
        except failures as error:
            module.fail_json(
                msg=f"The bucket {params['bucket']} can't be used: {error}. Expected one that the credentials which "
                "boto3 finds may write to and read from. Nothing was changed. Correct control_plane_backup_s3."
            )
        module.exit_json(changed=False, url=url)
    if module.check_mode:
        module.exit_json(changed=True, url=url)
    gate = _gate.Gate(
        id="backup_verified",
        node=params["node"],
        verdict=_gate.PASSED,
        observed="",
        expected=f"a copy at {url}, each file read back with the SHA-256 that the manifest tells",
        next_action=f"The backup itself is at {params['path']}. Mend what was observed, or leave "
        "control_plane_backup_s3 out, and start again.",
        acceptable=False,
    )
    with gate.judged(*failures):
        total = upload(connect(params), params["bucket"], params["prefix"], params["path"])
        gate.observed = f"{url}: {total} bytes read back as sent"
    module.exit_json(changed=gate.verdict == _gate.PASSED, url=url, gates=[gate.dump()])


if __name__ == "__main__":
    main()
