"""The parts of cuda.core with which the tests link PTX where there is no GPU."""

from cuda.core._linker import Linker as Linker
from cuda.core._linker import LinkerOptions as LinkerOptions
from cuda.core._module import ObjectCode as ObjectCode
