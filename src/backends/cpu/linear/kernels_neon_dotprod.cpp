// NEON with FEAT_DotProd: sixteen products of bytes an instruction.
#include "backends/cpu/linear/neon_bytes.h"

namespace bobby::cpu {

const LinearKernels kNeonDotKernels = {
    "neon-dotprod", true, pack_row<true>, quant<SignedRows>, no_scratch, dense, lora};
const TileKernels kNeonDotTiles = {2, pack_tile<DotTiles>, quant_tiles<DotTiles>,
                                   tile_scratch<DotTiles>};

}  // namespace bobby::cpu
