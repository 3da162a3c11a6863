"""MAML, from principle to code: the package behind the book.

Read the modules in this order; nothing heavy is imported until you ask for it.

==============  =========================================================================
tasks           ``Task`` (support and query), the families ``Sinusoids`` and ``Lines``
mlp             a NumPy network on a flat ``theta``: predict, loss, gradient, hvp
maml            adapt, and the meta-gradients: MAML, FOMAML, Reptile, joint training
maml_torch      the same names on tensors, for any ``nn.Module``, CPU or GPU
train           ``MetaConfig``, ``meta_train``, ``evaluate``; save and resume a run
checks          central differences and relative error
plotting        one function per kind of figure
widgets         the interactive figures, one file of plain JavaScript each
==============  =========================================================================
"""

__version__ = "0.1.0"
