"""Text that the tasks read: file readers, invertible detokenizers, sentences, stop words."""
