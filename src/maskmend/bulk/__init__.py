"""Bulk filling: from folders, tar shards or Parquet files, on disk or in object storage, in one process,
array jobs or Ray; runs can be resumed."""
