"""The service beside other model servers: the same model, the same core, the same load."""
