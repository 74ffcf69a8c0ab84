// Bounds for what could ask for any amount of memory in one step, where no
// guard can step in. `most` is in elements or characters.
(function (most) {
  'use strict'
  const refuse = n => { if (n > most) throw new RangeError('more than ' + most + ' elements or characters at once') }
  const size = n => { n = Number(n); return n > 0 ? n : 0 }
  const wrap = (owner, name, check) => {
    const real = owner[name]
    Object.defineProperty(owner, name, {
      value: function (...args) { check(this, args); return Reflect.apply(real, this, args) },
      writable: true, configurable: true, enumerable: false,
    })
  }
  wrap(String.prototype, 'repeat', (s, [n]) => refuse(String(s).length * size(n)))
  wrap(String.prototype, 'padStart', (s, [n]) => refuse(size(n)))
  wrap(String.prototype, 'padEnd', (s, [n]) => refuse(size(n)))
  wrap(Array.prototype, 'join', (a, [sep]) => refuse(size(a && a.length) * (sep === undefined ? 1 : String(sep).length + 1)))
  for (const name of ['fill', 'concat', 'slice', 'splice', 'map', 'sort', 'reverse', 'copyWithin', 'includes', 'indexOf', 'lastIndexOf'])
    wrap(Array.prototype, name, a => refuse(size(a && a.length)))
  wrap(Array, 'from', (_, [a]) => refuse(size(a && a.length)))
  const bounded = (C, unit) => {
    const P = new Proxy(C, {
      construct (target, args, self) {
        if (typeof args[0] === 'number') refuse(size(args[0]) * unit)
        else if (args[0] && typeof args[0] === 'object') refuse(size(args[0].length) * unit)
        return Reflect.construct(target, args, self === P ? target : self)
      },
      apply (target, self, args) {
        if (typeof args[0] === 'number') refuse(size(args[0]) * unit)
        return Reflect.apply(target, self, args)
      },
    })
    Object.defineProperty(C.prototype, 'constructor', { value: P, writable: true, configurable: true, enumerable: false })
    return P
  }
  const replace = (name, C) => Object.defineProperty(globalThis, name, { value: C, writable: true, configurable: true, enumerable: false })
  replace('Array', bounded(Array, 1))
  replace('ArrayBuffer', bounded(ArrayBuffer, 1))
  for (const [name, unit] of [['Int8Array', 1], ['Uint8Array', 1], ['Uint8ClampedArray', 1], ['Int16Array', 2], ['Uint16Array', 2],
    ['Int32Array', 4], ['Uint32Array', 4], ['Float32Array', 4], ['Float64Array', 8]]) replace(name, bounded(globalThis[name], unit))
  for (const name of ['BigInt', 'BigInt64Array', 'BigUint64Array']) delete globalThis[name]
})
