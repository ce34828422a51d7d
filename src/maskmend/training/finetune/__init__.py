"""`maskmend train --on FOLDER`: a trained model goes on learning from a folder of pictures."""
