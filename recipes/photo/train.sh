#!/usr/bin/env bash
# Trains the model `photo` from the first recipe to the last, in the order of the runs, and packs it. Pictures: data/photos/ .
# Run the script again to resume a run that was stopped.
set -euo pipefail
cd "$(dirname "$0")/../.."
maskmend weights fetch lpips-vgg16 efficientnet-lite0
maskmend train tokenizer --config recipes/photo/01-tokenizer.toml
maskmend train transformer --config recipes/photo/02-transformer.toml
maskmend train decoder --config recipes/photo/03-decoder.toml
maskmend train decoder --config recipes/photo/04-decoder-longer.toml
maskmend train decoder --config recipes/photo/05-decoder-low-rate.toml
maskmend pack runs/photo/05-decoder-low-rate runs/photo/02-transformer -o photo --half \
  --set temperature=1.0 --set plain=1.0 --set ranking=typical --set steps=4 --set windows=512
maskmend calibrate photo --images data/photos/val.tar --learnt photographs
