;; Finds the values of known keys in one line of JSON. See json-members.ts, which is the only one to call it and lays the memory out.
;;
;;   memory:  0 no key | 192 values found, 64 × id | form | from | to, i32 each | 1536 keys by hash, 256 × i32 | 2560 keys | 49152 lines
;;   a key:   0 `"key":`, zeros behind it | 128 size of that | 132 id of its label, -1 for none | 136 the key whose object it is in |
;;            140 whether its own object is read | 144 the key that followed last | 148 next of the same hash |
;;            152 the first in its object last | 156 its bit among those after which reading ends | 160 a bit for each of its first 16 bytes |
;;            164 how its values are compared, 0 for not at all | 168 what with, f64 | 176 bytes in all
;;
;; Keys are named by where they lie; the first stands for the whole line. "No key" has 16 zeros for its first bytes, which no value follows.
(module
  (memory (export "memory") 3)
  (global $root i32 (i32.const 2560))
  (global $isEscaped (mut i32) (i32.const 0))

  ;; First `"`, $open or $close at or behind $at; where there is none before $end, some place at or behind $end.
  (func $nextOf (param $at i32) (param $end i32) (param $open i32) (param $close i32) (result i32)
    (local $bytes v128) (local $marks i32)
    (loop $next
      (local.set $bytes (v128.load align=1 (local.get $at)))
      (local.set $marks
        (i8x16.bitmask
          (v128.or
            (i8x16.eq (local.get $bytes) (i8x16.splat (i32.const 0x22)))
            (v128.or
              (i8x16.eq (local.get $bytes) (i8x16.splat (local.get $open)))
              (i8x16.eq (local.get $bytes) (i8x16.splat (local.get $close)))))))
      (if (local.get $marks) (then (return (i32.add (local.get $at) (i32.ctz (local.get $marks))))))
      (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 16))) (local.get $end))))
    (local.get $end))

  ;; The quote that ends the text beginning at $at; a place at or behind $end if none does. Sets $isEscaped if there is a backslash.
  (func $closingQuote (param $at i32) (param $end i32) (result i32)
    (local $bytes v128) (local $marks i32)
    (loop $next
      (local.set $bytes (v128.load align=1 (local.get $at)))
      (local.set $marks
        (i8x16.bitmask
          (v128.or
            (i8x16.eq (local.get $bytes) (i8x16.splat (i32.const 0x22)))
            (i8x16.eq (local.get $bytes) (i8x16.splat (i32.const 0x5c))))))
      (if (local.get $marks)
        (then
          (local.set $at (i32.add (local.get $at) (i32.ctz (local.get $marks))))
          (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 0x22)) (then (return (local.get $at))))
          (global.set $isEscaped (i32.const 1))
          (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 2))) (local.get $end)))
          (return (local.get $end))))
      (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 16))) (local.get $end))))
    (local.get $end))

  ;; Behind the object or array that opens at $at; a place behind $end if it does not close. Only its own kind of bracket counts.
  (func $blockEnd (param $at i32) (param $end i32) (param $open i32) (param $close i32) (result i32)
    (local $level i32) (local $byte i32)
    (loop $next
      (local.set $at (call $nextOf (local.get $at) (local.get $end) (local.get $open) (local.get $close)))
      (if (i32.lt_u (local.get $at) (local.get $end))
        (then
          (local.set $byte (i32.load8_u (local.get $at)))
          (if (i32.eq (local.get $byte) (i32.const 0x22))
            (then
              (local.set $at (call $closingQuote (i32.add (local.get $at) (i32.const 1)) (local.get $end)))))
          (if (i32.eq (local.get $byte) (local.get $open))
            (then (local.set $level (i32.add (local.get $level) (i32.const 1)))))
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (if (i32.eq (local.get $byte) (local.get $close))
            (then
              (local.set $level (i32.sub (local.get $level) (i32.const 1)))
              (if (i32.eqz (local.get $level)) (then (return (local.get $at))))))
          (br $next))))
    (i32.add (local.get $end) (i32.const 1)))

  (func $isBlank (param $byte i32) (result i32)
    (i32.and
      (i32.le_u (local.get $byte) (i32.const 0x20))
      (i32.wrap_i64 (i64.shr_u (i64.const 0x100002600) (i64.extend_i32_u (local.get $byte))))))

  ;; First place at or behind $at that is no blank, or $end.
  (func $skipBlanks (param $at i32) (param $end i32) (result i32)
    (loop $next
      (if (i32.lt_u (local.get $at) (local.get $end))
        (then
          (if (call $isBlank (i32.load8_u (local.get $at)))
            (then
              (local.set $at (i32.add (local.get $at) (i32.const 1)))
              (br $next))))))
    (local.get $at))

  ;; Behind the number, true, false or null at $at: at a comma, a closing bracket, a blank or $end.
  (func $tokenEnd (param $at i32) (param $end i32) (result i32)
    (local $byte i32)
    (loop $next
      (if (i32.lt_u (local.get $at) (local.get $end))
        (then
          (local.set $byte (i32.load8_u (local.get $at)))
          (if
            (i32.eqz
              (i32.or
                (i32.or
                  (i32.eq (local.get $byte) (i32.const 0x2c))
                  (i32.eq (i32.or (local.get $byte) (i32.const 0x20)) (i32.const 0x7d)))
                (call $isBlank (local.get $byte))))
            (then
              (local.set $at (i32.add (local.get $at) (i32.const 1)))
              (br $next))))))
    (local.get $at))

  ;; What a token is: 1 a number or boolean, 0 null, -1 nothing that JSON knows. Numbers are taken by their first character.
  (func $tokenKind (param $at i32) (param $end i32) (result i32)
    (local $byte i32) (local $size i32) (local $word i32)
    (local.set $byte (i32.load8_u (local.get $at)))
    (local.set $size (i32.sub (local.get $end) (local.get $at)))
    (local.set $word (i32.load align=1 (local.get $at)))
    (if
      (i32.or
        (i32.lt_u (i32.sub (local.get $byte) (i32.const 0x30)) (i32.const 10))
        (i32.eq (local.get $byte) (i32.const 0x2d)))
      (then (return (i32.const 1))))
    (if (i32.eq (local.get $size) (i32.const 4))
      (then
        (if (i32.eq (local.get $word) (i32.const 0x65757274)) (then (return (i32.const 1))))
        (if (i32.eq (local.get $word) (i32.const 0x6c6c756e)) (then (return (i32.const 0))))))
    (if
      (i32.and
        (i32.eq (local.get $size) (i32.const 5))
        (i32.and
          (i32.eq (local.get $word) (i32.const 0x736c6166))
          (i32.eq (i32.load8_u offset=4 (local.get $at)) (i32.const 0x65))))
      (then (return (i32.const 1))))
    (i32.const -1))

  ;; Whether the first $size bytes of the key stand at $at.
  (func $isKeyAt (param $key i32) (param $at i32) (param $size i32) (result i32)
    (loop $next
      ;; Of the bytes that count none may differ.
      (if
        (i32.shl
          (i32.xor
            (i8x16.bitmask (i8x16.eq (v128.load align=1 (local.get $at)) (v128.load (local.get $key))))
            (i32.const 0xffff))
          (i32.sub (i32.const 32) (select (i32.const 16) (local.get $size) (i32.gt_s (local.get $size) (i32.const 16)))))
        (then (return (i32.const 0))))
      (local.set $at (i32.add (local.get $at) (i32.const 16)))
      (local.set $key (i32.add (local.get $key) (i32.const 16)))
      (br_if $next (i32.gt_s (local.tee $size (i32.sub (local.get $size) (i32.const 16))) (i32.const 0))))
    (i32.const 1))

  ;; The known key of the object of $parent whose quote stands at $at; 0 for none.
  (func $keyAt (param $at i32) (param $end i32) (param $parent i32) (result i32)
    (local $close i32) (local $key i32)
    (local.set $close (call $closingQuote (i32.add (local.get $at) (i32.const 1)) (local.get $end)))
    (if (i32.ge_u (local.get $close) (local.get $end)) (then (return (i32.const 0))))
    ;; As hashOf of json-members.ts: of the size and the bytes at both ends.
    (local.set $key
      (i32.load offset=1536
        (i32.shl
          (i32.and
            (i32.add
              (i32.mul (i32.sub (local.get $close) (local.get $at)) (i32.const 31))
              (i32.add
                (i32.mul (i32.load8_u offset=1 (local.get $at)) (i32.const 7))
                (i32.load8_u (i32.sub (local.get $close) (i32.const 1)))))
            (i32.const 255))
          (i32.const 2))))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $key)))
        (if (i32.eq (i32.load offset=136 (local.get $key)) (local.get $parent))
          (then (br_if $done
              (call $isKeyAt
                (local.get $key) (local.get $at) (i32.sub (i32.load offset=128 (local.get $key)) (i32.const 1))))))
        (local.set $key (i32.load offset=148 (local.get $key)))
        (br $next)))
    (local.get $key))

  ;; Whether the value at [$at, $to) fails the comparison of its key: if it is a plain decimal, of at most 15 bytes without its sign.
  (func $fails (param $key i32) (param $at i32) (param $to i32) (result i32)
    (local $byte i32) (local $isNegative i32) (local $digits i64) (local $scale f64) (local $value f64) (local $other f64)
    (local.set $isNegative (i32.eq (i32.load8_u (local.get $at)) (i32.const 0x2d)))
    (local.set $at (i32.add (local.get $at) (local.get $isNegative)))
    (if
      (i32.or
        (i32.ge_u (i32.sub (i32.sub (local.get $to) (local.get $at)) (i32.const 1)) (i32.const 15))
        (i32.ge_u (i32.sub (i32.load8_u (local.get $at)) (i32.const 0x30)) (i32.const 10)))
      (then (return (i32.const 0))))
    ;; 0 as long as there is no point.
    (loop $next
      (local.set $byte (i32.sub (i32.load8_u (local.get $at)) (i32.const 0x30)))
      (if (i32.lt_u (local.get $byte) (i32.const 10))
        (then
          (local.set $digits
            (i64.add (i64.mul (local.get $digits) (i64.const 10)) (i64.extend_i32_u (local.get $byte))))
          (local.set $scale (f64.mul (local.get $scale) (f64.const 10))))
        (else
          (if (i32.or (i32.ne (local.get $byte) (i32.const -2)) (f64.gt (local.get $scale) (f64.const 0)))
            (then (return (i32.const 0))))
          (local.set $scale (f64.const 1))))
      (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 1))) (local.get $to))))
    (local.set $value (f64.convert_i64_s (local.get $digits)))
    (if (f64.gt (local.get $scale) (f64.const 1))
      (then (local.set $value (f64.div (local.get $value) (local.get $scale)))))
    (if (local.get $isNegative) (then (local.set $value (f64.neg (local.get $value)))))
    (local.set $other (f64.load offset=168 (local.get $key)))
    ;; Bits of the comparison: 1 less, 2 equal, 4 greater.
    (i32.eqz
      (i32.and
        (i32.load offset=164 (local.get $key))
        (i32.or
          (f64.lt (local.get $value) (local.get $other))
          (i32.or
            (i32.shl (f64.eq (local.get $value) (local.get $other)) (i32.const 1))
            (i32.shl (f64.gt (local.get $value) (local.get $other)) (i32.const 2)))))))

  ;; How many values lie before $place.
  (func $countOf (param $place i32) (result i32)
    (i32.shr_u (i32.sub (local.get $place) (i32.const 192)) (i32.const 4)))

  ;; Reads the line [$at, $end). Gives how many values were found, with bit 16 set if there may be more: reading ended because all of $wanted
  ;; (if not 0) were there, at something that is not plainly right, or at a key that is not known. Bit 17 alone, if $drops: a value that is the
  ;; first of its key, outside of objects, fails its comparison. What is usual is all in this function: calls
  ;; and loops of a few bytes would take four times as long.
  (func (export "find") (param $at i32) (param $end i32) (param $wanted i32) (param $drops i32) (result i32)
    (local $parent i32) (local $last i32) (local $key i32) (local $byte i32) (local $to i32) (local $form i32) (local $marks i32)
    (local $place i32) (local $closed i32) (local $found i32)
    (local $bytes v128) (local $more v128) (local $quotes v128) (local $slashes v128)
    (local.set $quotes (i8x16.splat (i32.const 0x22)))
    (local.set $slashes (i8x16.splat (i32.const 0x5c)))
    (local.set $parent (global.get $root))
    (local.set $place (i32.const 192))
    (local.set $closed (i32.const 192))
    (local.set $at (call $skipBlanks (local.get $at) (local.get $end)))
    (block $stop
      (br_if $stop (i32.ge_u (local.get $at) (local.get $end)))
      (br_if $stop (i32.ne (i32.load8_u (local.get $at)) (i32.const 0x7b)))
      (local.set $at (call $skipBlanks (i32.add (local.get $at) (i32.const 1)) (local.get $end)))
      (loop $member
        (br_if $stop (i32.ge_u (local.get $at) (local.get $end)))
        (block $behindObject
          ;; The key: most lines have the same ones in the same order.
          (local.set $key
            (if (result i32) (local.get $last)
              (then (i32.load offset=144 (local.get $last)))
              (else (i32.load offset=152 (local.get $parent)))))
          (block $isKnown
            (local.set $marks (i32.load offset=160 (local.get $key)))
            (if
              (i32.eq
                (i32.and
                  (i8x16.bitmask (i8x16.eq (v128.load align=1 (local.get $at)) (v128.load (local.get $key))))
                  (local.get $marks))
                (local.get $marks))
              (then
                (local.set $to (i32.load offset=128 (local.get $key)))
                (local.set $at (i32.add (local.get $at) (local.get $to)))
                (br_if $isKnown (i32.le_u (local.get $to) (i32.const 16)))
                (br_if $isKnown
                  (call $isKeyAt (local.get $key) (i32.sub (local.get $at) (local.get $to)) (local.get $to)))
                (local.set $at (i32.sub (local.get $at) (local.get $to)))))
            (local.set $byte (i32.load8_u (local.get $at)))
            (if (i32.eq (local.get $byte) (i32.const 0x7d))
              (then
                (local.set $at (i32.add (local.get $at) (i32.const 1)))
                (if (i32.eq (local.get $parent) (global.get $root))
                  (then (return (call $countOf (local.get $place)))))
                (local.set $last (local.get $parent))
                (local.set $parent (i32.load offset=136 (local.get $parent)))
                (br $behindObject)))
            (br_if $stop (i32.ne (local.get $byte) (i32.const 0x22)))
            (local.set $key (call $keyAt (local.get $at) (local.get $end) (local.get $parent)))
            (br_if $stop (i32.eqz (local.get $key)))
            (if (local.get $last)
              (then (i32.store offset=144 (local.get $last) (local.get $key)))
              (else (i32.store offset=152 (local.get $parent) (local.get $key))))
            (local.set $at
              (call $skipBlanks
                (i32.add (local.get $at) (i32.sub (i32.load offset=128 (local.get $key)) (i32.const 1)))
                (local.get $end)))
            (br_if $stop (i32.ne (i32.load8_u (local.get $at)) (i32.const 0x3a)))
            (local.set $at (i32.add (local.get $at) (i32.const 1))))
          (local.set $last (local.get $key))
          ;; The value.
          (local.set $at (i32.add (local.get $at) (i32.eq (i32.load8_u (local.get $at)) (i32.const 0x20))))
          (if (i32.le_u (i32.load8_u (local.get $at)) (i32.const 0x20))
            (then (local.set $at (call $skipBlanks (local.get $at) (local.get $end)))))
          (br_if $stop (i32.ge_u (local.get $at) (local.get $end)))
          (local.set $byte (i32.load8_u (local.get $at)))
          (block $isScalar
            (if (i32.eq (local.get $byte) (i32.const 0x22))
              (then
                (local.set $at (i32.add (local.get $at) (i32.const 1)))
                (local.set $form (i32.const 2))
                (local.set $bytes (v128.load align=1 (local.get $at)))
                (local.set $more (v128.load offset=16 align=1 (local.get $at)))
                (local.set $marks
                  (i32.or
                    (i8x16.bitmask
                      (v128.or
                        (i8x16.eq (local.get $bytes) (local.get $quotes))
                        (i8x16.eq (local.get $bytes) (local.get $slashes))))
                    (i32.shl
                      (i8x16.bitmask
                        (v128.or
                          (i8x16.eq (local.get $more) (local.get $quotes))
                          (i8x16.eq (local.get $more) (local.get $slashes))))
                      (i32.const 16))))
                (local.set $to (i32.add (local.get $at) (i32.ctz (local.get $marks))))
                (if (i32.or (i32.eqz (local.get $marks)) (i32.ne (i32.load8_u (local.get $to)) (i32.const 0x22)))
                  (then
                    (global.set $isEscaped (i32.const 0))
                    (local.set $to (call $closingQuote (local.get $to) (local.get $end)))
                    (local.set $form (i32.add (i32.const 2) (global.get $isEscaped)))))
                (br_if $stop (i32.ge_u (local.get $to) (local.get $end)))
                (br $isScalar)))
            (if (i32.eq (local.get $byte) (i32.const 0x7b))
              (then
                (if (i32.load offset=140 (local.get $key))
                  (then
                    (local.set $parent (local.get $key))
                    (local.set $last (i32.const 0))
                    (local.set $at (call $skipBlanks (i32.add (local.get $at) (i32.const 1)) (local.get $end)))
                    (br $member)))
                (local.set $at
                  (call $blockEnd (local.get $at) (local.get $end) (i32.const 0x7b) (i32.const 0x7d)))
                (br $behindObject)))
            (if (i32.eq (local.get $byte) (i32.const 0x5b))
              (then
                (local.set $at
                  (call $blockEnd (local.get $at) (local.get $end) (i32.const 0x5b) (i32.const 0x5d)))
                (br $behindObject)))
            (local.set $form (i32.const 1))
            (local.set $bytes (v128.load align=1 (local.get $at)))
            (local.set $marks
              (i8x16.bitmask
                (v128.or
                  (v128.or
                    (i8x16.eq (local.get $bytes) (i8x16.splat (i32.const 0x2c)))
                    (i8x16.eq
                      (v128.or (local.get $bytes) (i8x16.splat (i32.const 0x20)))
                      (i8x16.splat (i32.const 0x7d))))
                  (i8x16.le_u (local.get $bytes) (i8x16.splat (i32.const 0x20))))))
            (local.set $to (i32.add (local.get $at) (i32.ctz (local.get $marks))))
            ;; A long token, one that the line ends, or a byte that is only nearly a blank.
            (if
              (i32.or
                (i32.or (i32.eqz (local.get $marks)) (i32.ge_u (local.get $to) (local.get $end)))
                (i32.le_u (i32.load8_u (local.get $to)) (i32.const 0x20)))
              (then (local.set $to (call $tokenEnd (local.get $at) (local.get $end)))))
            (if (i32.gt_u (i32.sub (local.get $byte) (i32.const 0x30)) (i32.const 9))
              (then
                (local.set $marks (call $tokenKind (local.get $at) (local.get $to)))
                (br_if $stop (i32.lt_s (local.get $marks) (i32.const 0)))
                (if (i32.eqz (local.get $marks))
                  (then
                    (local.set $at (local.get $to))
                    (br $behindObject))))))
          (if (i32.ge_s (i32.load offset=132 (local.get $key)) (i32.const 0))
            (then
              (br_if $stop (i32.ge_u (local.get $place) (i32.const 1216)))
              (if (i32.and (local.get $drops) (i32.ne (i32.load offset=164 (local.get $key)) (i32.const 0)))
                (then
                  (if
                    (i32.and
                      (i32.eqz (i32.and (local.get $found) (i32.load offset=156 (local.get $key))))
                      (i32.and
                        (i32.eq (local.get $parent) (global.get $root))
                        (i32.lt_u (local.get $form) (i32.const 3))))
                    (then
                      (if (call $fails (local.get $key) (local.get $at) (local.get $to))
                        (then (return (i32.const 0x20000))))))))
              (i32.store (local.get $place) (i32.load offset=132 (local.get $key)))
              (i32.store offset=4 (local.get $place) (local.get $form))
              (i32.store offset=8 (local.get $place) (local.get $at))
              (i32.store offset=12 (local.get $place) (local.get $to))
              (local.set $place (i32.add (local.get $place) (i32.const 16)))
              (local.set $found (i32.or (local.get $found) (i32.load offset=156 (local.get $key))))))
          (local.set $at (i32.add (local.get $to) (i32.ge_u (local.get $form) (i32.const 2)))))
        ;; Behind a value. Those in an object count once it is closed.
        (if (i32.eq (local.get $parent) (global.get $root))
          (then
            (br_if $stop (i32.gt_u (local.get $at) (local.get $end)))
            (local.set $closed (local.get $place))
            (if (local.get $wanted)
              (then
                (br_if $stop (i32.eq (i32.and (local.get $found) (local.get $wanted)) (local.get $wanted)))))))
        (if (i32.eq (i32.load16_u align=1 (local.get $at)) (i32.const 0x222c))
          (then
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (br $member)))
        (local.set $at (call $skipBlanks (local.get $at) (local.get $end)))
        (br_if $stop (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $byte (i32.load8_u (local.get $at)))
        (if (i32.eq (local.get $byte) (i32.const 0x2c))
          (then (local.set $at (call $skipBlanks (i32.add (local.get $at) (i32.const 1)) (local.get $end))))
          (else (br_if $stop (i32.ne (local.get $byte) (i32.const 0x7d)))))
        (br $member)))
    (i32.or (call $countOf (local.get $closed)) (i32.const 0x10000)))
)
