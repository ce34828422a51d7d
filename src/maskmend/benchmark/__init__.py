"""`maskmend bench`: how fast everything is on this machine, beside what the machine can do at best."""
