"""The APIs of other libraries on top of the pipeline, for existing scripts."""
