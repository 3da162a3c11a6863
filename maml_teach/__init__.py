"""MAML, from principle to code: the package behind the book.

Read the modules in this order; nothing heavy is imported until you ask for it.

==================  =======================================================================
tasks               ``Task`` (support and query); the families ``Sinusoids``, ``Lines``, ``Waves``
protocols           what a model, a family of tasks and a meta-gradient are
mlp                 a NumPy network on a flat ``theta``: predict, loss, gradient, hvp
maml                adapt, and the meta-gradients: MAML, FOMAML, Reptile, ANIL, joint training
rules               how a step follows from a gradient, and the way back: momentum, Adam
lean                the MAML gradient of an MLP arranged for speed: the same numbers
family              Hessian-free MAML, Meta-SGD, MAML++ and iMAML
mlp_torch           the same network and losses on tensors
module_torch        any ``nn.Module`` on a flat ``theta``; inner rates by name
paths_torch         ``from_module``: how a batch of tasks goes through a module
recognised_torch    which modules are an MLP
second_order_torch  kernels that can be differentiated twice; what cannot, and the ways out
pullback_torch      the way back through any rule, by autograd of its update
maml_torch          the names of ``maml`` on tensors, CPU or GPU
family_torch        the names of ``family``, likewise
train               ``MetaConfig``, ``meta_train``, ``evaluate``; save and resume a run
distributed_torch   meta-training on many processes, one all-reduce a step
checks              central differences, and ``check_meta_gradient`` for anyone's function
vectors             golden vectors: small problems with the right meta-loss and gradient
mistaken            what wrong programs answer to them
check               ``python -m maml_teach.check``: anyone's MAML on the golden vectors
diagnosis           gradients that are wrong in known ways, to name a mistake
measures            what the book measures of gradients and features: gaps, spreads, likeness
measures_torch      the largest curvature of a module's task losses
timing              seconds and megabytes of a call
reporting           tables, means with their intervals, numbers for the page, as text
plotting            one function per kind of static figure
inputs              what every entrance checks, and the arrays within an input
data                trained parameters and measured results, made by programs
applications        images, detection, language, intents, navigation, an arm, driving
widgets             the interactive figures, a folder each
==================  =======================================================================
"""

__version__ = "0.2.0"
