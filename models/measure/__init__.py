"""What `faceseed bench` measures: layers, models, the ladder of convolutions, memory; ours beside PyTorch's."""
