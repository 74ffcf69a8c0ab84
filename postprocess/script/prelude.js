// Bounds for what could ask for any amount of memory in one step, where no
// guard can step in. `most` is in elements or characters.
//
// A step whose result grows with what it is given is let be; one whose result
// can be many times as large is counted here first, in the script's own time,
// which can be interrupted.
(function (most, nesting) {
  'use strict'
  const few = most / 16 // for what makes an object of each character
  const { apply, construct } = Reflect
  const text = String
  const isArray = Array.isArray

  const refuse = (n, bound = most) => {
    if (n > bound) throw new RangeError('more than ' + bound + ' elements or characters at once')
  }
  const size = n => { n = Number(n); return n > 0 ? n : 0 }
  const define = (owner, name, value) =>
    Object.defineProperty(owner, name, { value, writable: true, configurable: true, enumerable: false })
  // Gives `owner[name]` another function, which gets the real one first.
  const override = (owner, name, make) => {
    const real = owner[name]
    const made = make((self, args) => apply(real, self, args))
    define(owner, name, { [name] (...args) { return made(this, args) } }[name])
  }
  const check = (owner, name, judge) => override(owner, name, real => (self, args) => {
    judge(self, args)
    return real(self, args)
  })
  // A proxy may give another length each time; so may a getter of whatever is no
  // list. What native code goes through has the one that was counted.
  const proxies = new WeakSet()
  const isList = v => isArray(v) && !proxies.has(v)
  const NativeProxy = Proxy
  const fixed = (v, bound = most) => {
    if (isList(v) || v === null || typeof v !== 'object' && typeof v !== 'function') {
      if (v !== undefined && v !== null) refuse(size(v.length), bound)
      return v
    }
    const n = size(v.length)
    refuse(n, bound)
    const own = v[Symbol.iterator]
    const iterator = typeof own === 'function' ? () => apply(own, v, []) : own
    return new NativeProxy(v, {
      get: (target, name) => name === 'length' ? n : name === Symbol.iterator ? iterator : target[name],
    })
  }
  // Adds up lengths until they are too much.
  const counter = () => {
    let total = 0
    return n => { total += n; refuse(total) }
  }

  // Calls with a list of arguments
  override(Function.prototype, 'apply', real => (self, args) =>
    args.length < 2 ? real(self, args) : real(self, [args[0], fixed(args[1], few)]))
  override(Reflect, 'apply', real => (self, args) => real(self, [args[0], args[1], fixed(args[2], few)]))
  override(Reflect, 'construct', real => (self, args) => {
    args[1] = fixed(args[1], few)
    return real(self, args)
  })

  // Proxies: the names that one gives are a list of its own making.
  const guarded = handler => handler === null || typeof handler !== 'object' && typeof handler !== 'function' ? handler : new NativeProxy(handler, {
    get: (target, name) => {
      const trap = target[name]
      if (name !== 'ownKeys' || typeof trap !== 'function') return trap
      return object => fixed(apply(trap, target, [object]), few)
    },
  })
  const proxied = p => { proxies.add(p); return p }
  const OwnProxy = new NativeProxy(Proxy, {
    construct: (target, args) => proxied(new NativeProxy(args[0], guarded(args[1]))),
  })
  override(Proxy, 'revocable', real => (self, args) => {
    const made = real(self, [args[0], guarded(args[1])])
    proxied(made.proxy)
    return made
  })
  define(globalThis, 'Proxy', OwnProxy)

  // Text
  check(String.prototype, 'repeat', (s, [n]) => refuse(text(s).length * size(n)))
  check(String.prototype, 'padStart', (s, [n]) => refuse(size(n)))
  check(String.prototype, 'padEnd', (s, [n]) => refuse(size(n)))
  check(String.prototype, 'normalize', s => refuse(text(s).length, few))
  for (const name of ['split', 'match', 'matchAll', 'replaceAll'])
    check(String.prototype, name, s => refuse(text(s).length, few))
  check(String.prototype, Symbol.iterator, s => refuse(text(s).length, few))
  for (const name of ['encodeURI', 'encodeURIComponent', 'escape'])
    check(globalThis, name, (_, [s]) => refuse(text(s).length, few))
  const pieces = real => (self, args) => {
    if (self === undefined || self === null) return real(self, args)
    const count = counter()
    const strings = [self, ...args].map(v => { v = text(v); count(v.length); return v })
    return real(strings[0], strings.slice(1))
  }
  override(String.prototype, 'concat', pieces)
  override(String, 'raw', () => (_, args) => {
    const count = counter()
    const raw = args[0].raw
    const n = size(raw.length)
    let out = ''
    for (let i = 0; i < n; i++) {
      const piece = text(raw[i]) + (i + 1 < n && i + 1 < args.length ? text(args[i + 1]) : '')
      count(piece.length || 1)
      out += piece
    }
    return out
  })

  // What a template such as '$1, $&' stands for (ECMA-262, GetSubstitution).
  const substitute = (template, args) => {
    const named = typeof args[args.length - 1] === 'object' ? args[args.length - 1] : undefined
    const end = args.length - (typeof args[args.length - 1] === 'string' ? 0 : 1)
    const [whole, at] = [args[end - 1], args[end - 2]]
    const groups = end - 3 // those in brackets, from args[1] on
    let out = ''
    for (let i = 0; i < template.length; i++) {
      const c = template[i + 1]
      let piece = template[i]
      if (piece !== '$' || c === undefined) {
        // as it stands
      } else if (c === '$') {
        i++
      } else if (c === '&') {
        piece = args[0]; i++
      } else if (c === '`') {
        piece = whole.slice(0, at); i++
      } else if (c === "'") {
        piece = whole.slice(at + args[0].length); i++
      } else if (c >= '0' && c <= '9') {
        const d = template[i + 2]
        const two = d >= '0' && d <= '9' ? Number(c + d) : 0
        const n = two >= 1 && two <= groups ? two : Number(c)
        if (n >= 1 && n <= groups) {
          piece = args[n] === undefined ? '' : args[n]
          i += n === two ? 2 : 1
        }
      } else if (c === '<' && named !== undefined && template.indexOf('>', i) > 0) {
        const close = template.indexOf('>', i)
        const value = named[template.slice(i + 2, close)]
        piece = value === undefined ? '' : text(value)
        i = close
      }
      refuse(out.length + piece.length)
      out += piece
    }
    return out
  }
  // The replacement as a function whose results are counted.
  const counted = by => {
    const count = counter()
    const keep = s => { count(s.length); return s }
    if (typeof by === 'function') return (...args) => keep(text(apply(by, undefined, args)))
    const template = text(by)
    if (!template.includes('$')) return () => keep(template)
    return (...args) => keep(substitute(template, args))
  }
  const replacing = real => (self, [what, by]) =>
    real(self, [what, what !== null && typeof what === 'object' ? by : counted(by)])
  override(String.prototype, 'replace', replacing) // an expression's own method follows
  override(String.prototype, 'replaceAll', replacing)
  override(RegExp.prototype, Symbol.replace, real => (self, [s, by]) => {
    refuse(text(s).length, few)
    return real(self, [s, counted(by)])
  })
  for (const name of [Symbol.split, Symbol.match, Symbol.matchAll])
    check(RegExp.prototype, name, (_, [s]) => refuse(text(s).length, few))

  // Lists
  const joining = [] // those under way: a list within itself is empty text
  const joined = (say, glue) => (self, args) => {
    if (joining.indexOf(self) >= 0) return ''
    joining.push(self)
    try {
      const sep = glue(args)
      const n = size(self.length)
      refuse(n * (sep.length || 1))
      const count = counter()
      const parts = []
      for (let i = 0; i < n; i++) {
        const v = self[i]
        const s = v === undefined || v === null ? '' : text(say(v))
        count(s.length + sep.length + 1)
        parts.push(s)
      }
      return apply(join, parts, [sep])
    } finally {
      joining.pop()
    }
  }
  const join = Array.prototype.join
  override(Array.prototype, 'join', () => joined(v => v, ([sep]) => sep === undefined ? ',' : text(sep)))
  override(Array.prototype, 'toLocaleString', () => joined(v => v.toLocaleString(), () => ','))
  override(Array.prototype, 'toString', () => self => typeof self.join === 'function' ? self.join() : Object.prototype.toString.call(self))
  // Native code goes through all places up to the length, there or not.
  for (const name of ['fill', 'slice', 'splice', 'map', 'sort', 'reverse', 'copyWithin', 'includes', 'indexOf', 'lastIndexOf',
    'every', 'some', 'forEach', 'filter', 'reduce', 'reduceRight', 'find', 'findIndex', 'findLast', 'findLastIndex', 'shift', 'unshift',
    'toSorted', 'toReversed', 'toSpliced', 'with', 'keys', 'values', 'entries', Symbol.iterator]) {
    if (!Array.prototype[name]) continue
    override(Array.prototype, name, real => (self, args) => {
      const list = fixed(self)
      const out = real(list, args)
      return out === list ? self : out
    })
  }
  check(Array.prototype, 'concat', (a, args) => {
    const count = counter()
    for (const v of [a, ...args]) count(isArray(v) || (v && v[Symbol.isConcatSpreadable]) ? size(v.length) : 1)
  })
  const flattened = (list, depth, count) => {
    const n = size(list.length)
    count(n)
    if (depth < 1) return
    for (let i = 0; i < n; i++) if (isArray(list[i])) flattened(list[i], depth - 1, count)
  }
  check(Array.prototype, 'flat', (a, [depth]) => flattened(a, depth === undefined ? 1 : size(depth), counter()))
  override(Array.prototype, 'flatMap', real => (self, [fn, on]) => {
    const count = counter()
    return real(self, [typeof fn !== 'function' ? fn : (...args) => {
      const v = apply(fn, on, args)
      count(isArray(v) ? v.length : 1)
      return v
    }])
  })
  override(Array, 'from', real => (self, args) => {
    args[0] = fixed(args[0])
    return real(self, args)
  })

  const typed = Object.getPrototypeOf(Uint8Array)
  override(typed, 'from', real => (self, args) => {
    args[0] = fixed(args[0], most / 8)
    return real(self, args)
  })
  override(typed.prototype, 'set', real => (self, args) => {
    if (!ArrayBuffer.isView(args[0])) args[0] = fixed(args[0], most / 8)
    return real(self, args)
  })
  check(typed.prototype, 'join', (a, [sep]) => refuse(size(a.length) * (24 + (sep === undefined ? 1 : text(sep).length))))

  // Names, of which a text or a list has one for each place
  const named = (_, args) => {
    for (let i = 0; i < args.length; i++) {
      const v = args[i]
      if (typeof v === 'string' || isArray(v) || ArrayBuffer.isView(v)) refuse(size(v.length), few)
    }
  }
  for (const name of ['keys', 'values', 'entries', 'getOwnPropertyNames', 'getOwnPropertyDescriptors', 'assign', 'freeze', 'seal',
    'isFrozen', 'isSealed']) check(Object, name, named)
  check(Reflect, 'ownKeys', named)

  // JSON: a short text stands for many objects, and a deep one for many calls.
  override(JSON, 'parse', real => (self, args) => {
    args[0] = text(args[0])
    refuse(args[0].length, few * 2)
    refuse(nesting(args[0]), 10000)
    return real(self, args)
  })
  // One large text that many places hold is written many times.
  override(JSON, 'stringify', real => (self, [value, keep, space]) => {
    const count = counter()
    const names = isArray(keep) ? keep.map(text) : undefined
    const indent = space === undefined ? 0 : 10
    const depths = new Map()
    let whole = true // the first call is for the value as a whole
    const counting = function (key, v) {
      if (names && !whole && !isArray(this) && names.indexOf(key) < 0) return undefined
      whole = false
      if (typeof keep === 'function') v = apply(keep, this, [key, v])
      const depth = indent && (depths.get(this) || 0) + 1
      if (indent && v !== null && typeof v === 'object') depths.set(v, depth)
      count(key.length + (typeof v === 'string' ? v.length : 8) + depth * indent)
      if (isArray(v)) refuse(size(v.length)) // each place takes a character, there or not
      return v
    }
    const out = real(self, [value, counting, space])
    return names ? real(self, [value, keep, space]) : out // a list of names orders them too
  })

  // Buffers
  const NativeBuffer = ArrayBuffer
  const isView = ArrayBuffer.isView
  const bounded = (C, unit) => {
    const P = new Proxy(C, {
      construct (target, args, self) {
        if (typeof args[0] === 'number') refuse(size(args[0]) * unit)
        else if (args[0] && typeof args[0] === 'object' && !isView(args[0]) && !(args[0] instanceof NativeBuffer)) args[0] = fixed(args[0], most / unit)
        else if (args[0] && isView(args[0])) refuse(size(args[0].length) * unit)
        return construct(target, args, self === P ? target : self)
      },
      apply (target, self, args) {
        if (typeof args[0] === 'number') refuse(size(args[0]) * unit)
        return apply(target, self, args)
      },
    })
    define(C.prototype, 'constructor', P)
    return P
  }
  define(globalThis, 'Array', bounded(Array, 1))
  define(globalThis, 'ArrayBuffer', bounded(ArrayBuffer, 1))
  for (const [name, unit] of [['Int8Array', 1], ['Uint8Array', 1], ['Uint8ClampedArray', 1], ['Int16Array', 2], ['Uint16Array', 2],
    ['Int32Array', 4], ['Uint32Array', 4], ['Float32Array', 4], ['Float64Array', 8]]) define(globalThis, name, bounded(globalThis[name], unit))
  for (const name of ['BigInt', 'BigInt64Array', 'BigUint64Array']) delete globalThis[name]

  // Code from text: to read a deeply nested one could end the whole process.
  const noCode = function () { throw new EvalError('code cannot be made from text') }
  for (const f of [function () {}, function * () {}, async function () {}]) {
    const P = Object.getPrototypeOf(f)
    noCode.prototype = P
    define(P, 'constructor', noCode)
  }
  noCode.prototype = Function.prototype
  define(globalThis, 'Function', noCode)
  delete globalThis.eval
})
