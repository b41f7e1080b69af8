// SPDX-FileCopyrightText: The mixedversion.kubernetes authors
// SPDX-License-Identifier: GPL-3.0-or-later

module mixedversion/lab/pause

go 1.26.0
