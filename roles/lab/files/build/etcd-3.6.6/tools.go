// SPDX-FileCopyrightText: The mixedversion.kubernetes authors
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build tools

// Package build pins the modules that the lab's etcd binaries are built from.
package build

import (
	_ "go.etcd.io/etcd/etcdctl/v3"
	_ "go.etcd.io/etcd/etcdutl/v3"
	_ "go.etcd.io/etcd/server/v3"
)
