// SPDX-FileCopyrightText: The mixedversion.kubernetes authors
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build tools

// Package receptor pins the modules that the evidence's Receptor is built from.
package receptor

import (
	_ "github.com/ansible/receptor/cmd/receptor-cl"
)
