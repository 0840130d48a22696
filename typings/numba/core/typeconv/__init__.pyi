from numba.core.typeconv.castgraph import Conversion as Conversion
