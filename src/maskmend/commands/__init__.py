"""The commands of the command line, one file for each subject; nothing imports torch before it is needed."""
