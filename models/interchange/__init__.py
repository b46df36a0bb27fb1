"""Models out of faceseed and into it: ONNX files that run anywhere, PyTorch's state dicts, and PyTorch modules to compare with."""
