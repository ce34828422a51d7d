"""Many pictures filled: from folders, tar shards or Parquet files, here or in object storage, by one process,
the jobs of an array or Ray; what was done is not done again."""
