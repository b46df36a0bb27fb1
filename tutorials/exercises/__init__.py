"""The exercises of each chapter, with solutions: look here last."""
