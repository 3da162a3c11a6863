"""MAML, from principle to code: the package behind the book.

Read the modules in this order; nothing heavy is imported until you ask for it.

==============  =========================================================================
tasks           ``Task`` (support and query), the families ``Sinusoids`` and ``Lines``
mlp             a NumPy network on a flat ``theta``: predict, loss, gradient, hvp
maml            adapt, and the meta-gradients: MAML, FOMAML, Reptile, ANIL, joint training
lean            the MAML gradient of an MLP arranged for speed: the same numbers
family          Meta-SGD, MAML++ and iMAML: learned rates, implicit gradients
mlp_torch       the same network on tensors; its losses are in ``objectives_torch``
module_torch    ``from_module`` for any ``nn.Module``; inner rates by name
maml_torch      the names of ``maml`` on tensors, CPU or GPU
family_torch    the names of ``family``, likewise
train           ``MetaConfig``, ``meta_train``, ``evaluate``; save and resume a run
images          few-shot images: glyphs from fonts, Omniglot, digits, episodes
images_torch    the convolutional network for them, and ProtoNet
language        names in a hundred languages as tasks, letters as hashed n-grams
navigation      walks to an unseen goal, adapted by policy gradient
arm             a robot arm with unknown payload, its motions as tasks
detection       few-shot detection: scenes of glyphs, boxes, template matching
detection_torch the detector, its loss, and the boxes that it says
driving         a car with unknown grip, its drives as tasks, a controller that uses a model
claims          what the chapter *claims* measures; ``claims_torch``: six kinds of model
distributed     meta-training on many processes, one all-reduce a step
checks          central differences, and ``check_meta_gradient`` for anyone's function
diagnosis       gradients that are wrong in known ways, to name a mistake
plotting        one function per kind of figure
widgets         the interactive figures, one file of plain JavaScript each
==============  =========================================================================
"""

__version__ = "0.1.0"
