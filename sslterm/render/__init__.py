"""Drawing: arrays to terminal cells and to PNG. numpy and Pillow, without torch and without a screen."""
