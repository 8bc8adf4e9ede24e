// Command alphaos is the host side of AlphaOS: it packs the EFI application,
// makes drives, starts them in QEMU, and runs the same assistant and engine
// on the host.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func main() {
	root := &cobra.Command{
		Use:           "alphaos",
		Short:         "Build, run and inspect AlphaOS drives and models",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(
		efiCommand(),
		driveCommand(),
		qemuCommand(),
		chatCommand(),
		modelCommand(),
		indexCommand(),
		searchCommand(),
	)
	errs := safe(os.Stderr)
	root.SetOut(safe(os.Stdout))
	root.SetErr(errs)
	if err := root.Execute(); err != nil {
		fmt.Fprintln(errs, "alphaos:", err)
		os.Exit(1)
	}
}

func modelCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "model",
		Short: "Inspect, measure, convert and train language models in GGUF files",
	}
	cmd.AddCommand(
		modelInfoCommand(),
		modelTokenizeCommand(),
		modelLogitsCommand(),
		modelBenchCommand(),
		modelPeerCommand(),
		modelSynthCommand(),
		modelEmbedCommand(),
		modelQuantizeCommand(),
		modelSplitCommand(),
		modelCorpusCommand(),
		modelTokenizerCommand(),
		modelTrainCommand(),
		modelEvalCommand(),
	)
	return cmd
}
