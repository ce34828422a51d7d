#!/usr/bin/env bash
# Trains a model on your own pictures from the first recipe to the last, and packs it as my-model:
#   bash recipes/your-folder/train.sh PHOTOS HELD_OUT "what they show"
# PHOTOS and HELD_OUT are folders or tar files. Run the script again to resume a run that was stopped.
set -euo pipefail
if [ $# != 3 ]; then
  echo 'usage: bash recipes/your-folder/train.sh PHOTOS HELD_OUT "what they show"' >&2
  exit 2
fi
photos=$(realpath "$1") held_out=$(realpath "$2")
cd "$(dirname "$0")/../.."
maskmend weights fetch lpips-vgg16
pictures=(--set "data.train=$photos" --set "data.validation=$held_out")
maskmend train tokenizer --config recipes/your-folder/01-tokenizer.toml "${pictures[@]}"
maskmend train transformer --config recipes/your-folder/02-transformer.toml "${pictures[@]}"
maskmend train decoder --config recipes/your-folder/03-decoder.toml "${pictures[@]}"
maskmend pack runs/your-folder/03-decoder runs/your-folder/02-transformer -o my-model
maskmend calibrate my-model --images "$held_out" --learnt "$3"
