// Ownsystem stands for the loader of the computer's own system: it tells where it came from and what of the machine
// it was given, and switches off.
package main

import (
	"fmt"
	"os"

	"alphaos/amd64"
	"alphaos/efi"
)

func main() {
	if err := efi.Init(); err != nil {
		fmt.Println("own system: FAILED:", err)
		os.Exit(1)
	}
	self, err := efi.LoadedImage()
	if err != nil {
		fmt.Println("own system: FAILED:", err)
		os.Exit(1)
	}
	n := amd64.StartProcessors(amd64.Present())
	fmt.Printf("own system: %s with %d processors and %d MiB\n", self.FilePath, n, amd64.Memory().Total>>20)
	fmt.Println("own system: FAILED:", efi.Shutdown())
}
