// SPDX-FileCopyrightText: The mixedversion.kubernetes authors
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build tools

// Package build pins the modules that the lab's Kubernetes binaries are built from.
package build

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
	_ "k8s.io/kubernetes/cmd/kube-scheduler"
	_ "k8s.io/kubernetes/cmd/kubeadm"
	_ "k8s.io/kubernetes/cmd/kubectl"
	_ "k8s.io/kubernetes/cmd/kubelet"
)
