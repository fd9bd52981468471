// What a user of the library meets in its signatures, so that one import is enough.

@_exported import struct SalanganeFiles.FileLimits
@_exported import struct SalanganeFiles.ModelFileError
@_exported import enum SalanganeKernels.InstructionSet
@_exported import struct SalanganeKernels.InstructionSetError
@_exported import enum SalanganeModelGraph.MatmulBackend
@_exported import enum SalanganeModelGraph.WeightPrecision
@_exported import enum SalanganeModelGraph.Pooling
@_exported import enum SalanganeTensors.ComputeError
@_exported import struct SalanganeTensors.NumericFault
@_exported import struct SalanganeTokenizers.EncodingOptions
@_exported import protocol SalanganeTokenizers.TextTokenizer
@_exported import struct SalanganeTokenizers.SpecialTokens
@_exported import struct SalanganeTokenizers.TokenizedText
@_exported import enum SalanganeTokenizers.TokenizerError
