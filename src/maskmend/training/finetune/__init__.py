"""`maskmend train --on FOLDER`: fine-tunes a trained model on a folder of pictures."""
