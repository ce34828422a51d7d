"""How well photographs are repaired, against what else a user could take: `maskmend photographs`."""
