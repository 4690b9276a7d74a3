;; Marks the 4-byte grams of a block's lines. See skip-filter.ts, which is the only one to call it.
;;
;;   memory:  0 marks, a byte a bit, 64 KiB | 65536 bitmap, 8 KiB | 73728 block content
(module
  (memory (export "memory") 3)

  ;; The grams of [$at, $end), which are 1 to 16, one by one.
  (func $markFew (param $at i32) (param $end i32) (param $bits i32)
    (loop $next
      (i32.store8
        (i32.shr_u
          (i32.mul
            (i32.shr_u
              (i32.mul (i32.or (i32.load align=1 (local.get $at)) (i32.const 0x20202020)) (i32.const 0x9e3779b1))
              (i32.const 16))
            (local.get $bits))
          (i32.const 16))
        (i32.const 255))
      (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 1))) (local.get $end)))))

  ;; The grams that begin in [$at, $end), 16 at a time, the last ones with some again. Stores take most of the time.
  (func $markLine (param $at i32) (param $end i32) (param $bits i32)
    (local $last i32) (local $hash v128) (local $pair i64)
    (local $wide v128) (local $fold v128) (local $factor v128)
    (local.set $last (i32.sub (local.get $end) (i32.const 16)))
    (if (i32.lt_s (local.get $last) (local.get $at))
      (then (call $markFew (local.get $at) (local.get $end) (local.get $bits)) (return)))
    (local.set $wide (i32x4.splat (local.get $bits)))
    (local.set $fold (i32x4.splat (i32.const 0x20202020)))
    (local.set $factor (i32x4.splat (i32.const 0x9e3779b1)))
    (loop $next
      (local.set $hash
        (i32x4.shr_u
          (i32x4.mul
            (i32x4.shr_u
              (i32x4.mul
                (v128.or (v128.load align=1 (local.get $at)) (local.get $fold))
                (local.get $factor))
              (i32.const 16))
            (local.get $wide))
          (i32.const 16)))
      (local.set $pair (i64x2.extract_lane 0 (local.get $hash)))
      (i32.store8 (i32.wrap_i64 (local.get $pair)) (i32.const 255))
      (i32.store8 (i32.wrap_i64 (i64.shr_u (local.get $pair) (i64.const 32))) (i32.const 255))
      (local.set $pair (i64x2.extract_lane 1 (local.get $hash)))
      (i32.store8 (i32.wrap_i64 (local.get $pair)) (i32.const 255))
      (i32.store8 (i32.wrap_i64 (i64.shr_u (local.get $pair) (i64.const 32))) (i32.const 255))
      (local.set $hash
        (i32x4.shr_u
          (i32x4.mul
            (i32x4.shr_u
              (i32x4.mul
                (v128.or (v128.load offset=1 align=1 (local.get $at)) (local.get $fold))
                (local.get $factor))
              (i32.const 16))
            (local.get $wide))
          (i32.const 16)))
      (local.set $pair (i64x2.extract_lane 0 (local.get $hash)))
      (i32.store8 (i32.wrap_i64 (local.get $pair)) (i32.const 255))
      (i32.store8 (i32.wrap_i64 (i64.shr_u (local.get $pair) (i64.const 32))) (i32.const 255))
      (local.set $pair (i64x2.extract_lane 1 (local.get $hash)))
      (i32.store8 (i32.wrap_i64 (local.get $pair)) (i32.const 255))
      (i32.store8 (i32.wrap_i64 (i64.shr_u (local.get $pair) (i64.const 32))) (i32.const 255))
      (local.set $hash
        (i32x4.shr_u
          (i32x4.mul
            (i32x4.shr_u
              (i32x4.mul
                (v128.or (v128.load offset=2 align=1 (local.get $at)) (local.get $fold))
                (local.get $factor))
              (i32.const 16))
            (local.get $wide))
          (i32.const 16)))
      (local.set $pair (i64x2.extract_lane 0 (local.get $hash)))
      (i32.store8 (i32.wrap_i64 (local.get $pair)) (i32.const 255))
      (i32.store8 (i32.wrap_i64 (i64.shr_u (local.get $pair) (i64.const 32))) (i32.const 255))
      (local.set $pair (i64x2.extract_lane 1 (local.get $hash)))
      (i32.store8 (i32.wrap_i64 (local.get $pair)) (i32.const 255))
      (i32.store8 (i32.wrap_i64 (i64.shr_u (local.get $pair) (i64.const 32))) (i32.const 255))
      (local.set $hash
        (i32x4.shr_u
          (i32x4.mul
            (i32x4.shr_u
              (i32x4.mul
                (v128.or (v128.load offset=3 align=1 (local.get $at)) (local.get $fold))
                (local.get $factor))
              (i32.const 16))
            (local.get $wide))
          (i32.const 16)))
      (local.set $pair (i64x2.extract_lane 0 (local.get $hash)))
      (i32.store8 (i32.wrap_i64 (local.get $pair)) (i32.const 255))
      (i32.store8 (i32.wrap_i64 (i64.shr_u (local.get $pair) (i64.const 32))) (i32.const 255))
      (local.set $pair (i64x2.extract_lane 1 (local.get $hash)))
      (i32.store8 (i32.wrap_i64 (local.get $pair)) (i32.const 255))
      (i32.store8 (i32.wrap_i64 (i64.shr_u (local.get $pair) (i64.const 32))) (i32.const 255))
      (br_if $next (i32.le_u (local.tee $at (i32.add (local.get $at) (i32.const 16))) (local.get $last)))
      (if (i32.lt_u (local.get $at) (local.get $end))
        (then
          (local.set $end (i32.const 0))
          (local.set $at (local.get $last))
          (br $next)))))

  ;; Behind the uvarint at $at.
  (func $behindVarint (param $at i32) (result i32)
    (loop $next
      (if (i32.ge_u (i32.load8_u (local.get $at)) (i32.const 128))
        (then (local.set $at (i32.add (local.get $at) (i32.const 1))) (br $next))))
    (i32.add (local.get $at) (i32.const 1)))

  ;; The uvarint at $at, below 2^32.
  (func $varintAt (param $at i32) (result i32)
    (local $value i32) (local $shift i32) (local $byte i32)
    (loop $next
      (local.set $byte (i32.load8_u (local.get $at)))
      (local.set $value
        (i32.or (local.get $value) (i32.shl (i32.and (local.get $byte) (i32.const 127)) (local.get $shift))))
      (local.set $shift (i32.add (local.get $shift) (i32.const 7)))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $next (i32.ge_u (local.get $byte) (i32.const 128))))
    (local.get $value))

  ;; Bitmap of the lowest $bits marks, and how many are set.
  (func $pack (param $bits i32) (result i32)
    (local $at i32) (local $word i32) (local $count i32)
    (loop $next
      (local.set $word (i8x16.bitmask (v128.load (local.get $at))))
      (i32.store16 offset=65536 (i32.shr_u (local.get $at) (i32.const 3)) (local.get $word))
      (local.set $count (i32.add (local.get $count) (i32.popcnt (local.get $word))))
      (br_if $next
        (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 16))) (local.get $bits))))
    (local.get $count))

  ;; Walks the content that lies in [73728, $end): varint time, uvarint length, line, and with $sections a uvarint size and so many bytes.
  ;; Leaves the bitmap of $bits (at most 65528) bits; gives how many are set.
  (func (export "fill") (param $end i32) (param $sections i32) (param $bits i32) (result i32)
    (local $at i32) (local $size i32) (local $line i32)
    (memory.fill (i32.const 0) (i32.const 0) (i32.const 65536))
    (local.set $at (i32.const 73728))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $at (call $behindVarint (local.get $at)))
        (local.set $size (call $varintAt (local.get $at)))
        (local.set $line (call $behindVarint (local.get $at)))
        (local.set $at (i32.add (local.get $line) (local.get $size)))
        (if (i32.ge_u (local.get $size) (i32.const 4))
          (then
            (call $markLine (local.get $line) (i32.sub (local.get $at) (i32.const 3)) (local.get $bits))))
        (if (local.get $sections)
          (then
            (local.set $at
              (i32.add (call $behindVarint (local.get $at)) (call $varintAt (local.get $at))))))
        (br $next)))
    (call $pack (local.get $bits)))
)
