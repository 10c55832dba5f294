"""From an MLflow model of somebody else's to an ONNX package; runs in a container of its own."""
