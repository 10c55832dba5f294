// The one function that Perses takes of mathjs, by the way in which it takes it.
export const gcdDependencies = {};
export const roundDependencies = {};
export const create = () => ({ gcd });

function gcd(...numbers) {
  if (!numbers.every(Number.isInteger)) throw new Error('Parameters in function gcd must be integer numbers');
  return numbers.reduce((a, b) => {
    while (b !== 0) [a, b] = [b, a % b];
    return Math.abs(a);
  });
}
