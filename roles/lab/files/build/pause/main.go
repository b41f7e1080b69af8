// SPDX-FileCopyrightText: The mixedversion.kubernetes authors
// SPDX-License-Identifier: GPL-3.0-or-later

// Command pause holds a pod's namespaces open until it is told to stop.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// kubeadm's CreateJob preflight check runs the image as "pause -v" and
	// wants the Job to complete.
	if len(os.Args) > 1 && os.Args[1] == "-v" {
		fmt.Println("pause of the mixedversion.kubernetes lab")
		return
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	<-stop
}
