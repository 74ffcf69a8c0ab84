// Makes src/types.ts from app.yaml: what an editor completes, and the compiler checks.

import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'

const here = (path) => new URL(`../${path}`, import.meta.url).pathname
const bin = process.env.GRAPHTIDE_BIN ?? here('../../bin/graphtide')
writeFileSync(here('src/types.ts'), execFileSync(bin, ['schema', 'types', here('app.yaml')]))
