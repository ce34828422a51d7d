"""`maskmend bench`: measures speed on this machine, compared with the hardware's peak performance."""
