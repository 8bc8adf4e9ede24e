// Command alphaos is the host side of AlphaOS: it packs the EFI application,
// makes drives, starts them in QEMU, and runs the same assistant and engine
// on the host.
package main

import (
	"os"

	"github.com/spf13/cobra"
)

func main() {
	errs := safe(os.Stderr)
	root := rootCommand()
	root.SetOut(safe(os.Stdout))
	root.SetErr(errs)
	os.Exit(execute(root, errs))
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "alphaos",
		Short: "Make AlphaOS drives, and talk to models here",
		Long: `Make drives with AlphaOS, a personal AI that a computer starts from; keep, check and
run them; and talk to models here, with the same assistant and engine.`,
		Example: `  alphaos chat                                       # a conversation with the guide
  alphaos run llama-3.2-1b                           # with a model in ./models
  alphaos drive list                                 # which drive is the stick?
  sudo alphaos drive create /dev/sdb --model llama-3.2-1b-q8.gguf
  alphaos qemu run alphaos.img                       # try an image before
  source <(alphaos completion bash)                  # Tab completes commands, flags, models and drives`,
		Version:       versionText(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.AddCommand(
		chatCommand(),
		runCommand(),
		driveCommand(),
		storeCommand(),
		modelCommand(),
		indexCommand(),
		searchCommand(),
		qemuCommand(),
		efiCommand(),
	)
	return root
}

func modelCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "model",
		Short: "Inspect, measure, convert and train language models in GGUF files",
	}
	cmd.AddCommand(
		modelInfoCommand(),
		modelAdviseCommand(),
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
