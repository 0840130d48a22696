from numba.core.compiler_machinery import PassManager

class CompilerBase:
    def define_pipelines(self) -> list[PassManager]: ...
