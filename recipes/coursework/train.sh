#!/usr/bin/env bash
# Trains the coursework's transformer at its own size, over the tokenizer of `cats64`, and packs both.
# Run the script again to resume a run that was stopped.
set -euo pipefail
cd "$(dirname "$0")/../.."
maskmend weights fetch lpips-vgg16
maskmend train tokenizer --config recipes/cats64/01-tokenizer.toml
maskmend train transformer --config recipes/coursework/01-transformer.toml
maskmend pack runs/cats64/01-tokenizer runs/coursework/01-transformer -o coursework
